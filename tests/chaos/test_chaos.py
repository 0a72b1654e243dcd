"""Everything fails: workers are killed, the server crashes, the pooler is killed. Nothing is lost, nothing is left."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from chaos import workload
from pgflow import PgFlow
from pooler import PROGRAM, Pooler
from servers import Server
from sql.invariants import check_invariants

TASKS = 5000
MAPS = 5
ELEMENTS = 498
CHAINS = (TASKS - MAPS * (ELEMENTS + 2)) // workload.CHAIN_LENGTH
WORKERS = 3
CRASHES_AT = (0.2, 0.4, 0.6)
POOLER_KILLS_AT = (0.3, 0.5)
KILLS_UNTIL = 0.95
DEADLINE_SECONDS = 300


class Scene:
    """A server of its own, a pooler before it, and workers behind that."""

    def __init__(self, server: Server, pooler: Pooler, database: str) -> None:
        self.server = server
        self.pooler = pooler
        self.url = server.url(database)
        self.pooled_url = pooler.url(database)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.counts = Counter[str]()

    def add_worker(self) -> None:
        self.workers.append(subprocess.Popen([sys.executable, workload.__file__ or "", self.pooled_url]))

    def kill_a_worker(self) -> None:
        victim = random.choice(self.workers)
        self.workers.remove(victim)
        victim.kill()
        victim.wait()
        self.counts["kills"] += 1
        self.add_worker()

    def replace_the_fallen(self) -> None:
        """Start anew what couldn't start because the database was away, as a process manager does."""
        for worker in [worker for worker in self.workers if worker.poll() is not None]:
            self.workers.remove(worker)
            self.counts["failed starts"] += 1
            self.add_worker()

    def crash_the_server(self) -> None:
        self.server.crash()
        self.counts["restarts of the server"] += 1

    def kill_the_pooler(self) -> None:
        self.pooler.restart()
        self.counts["restarts of the pooler"] += 1

    def query(self, statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(statement).fetchall()

    def share(self) -> float:
        """Return which part of the tasks is completed."""
        (row,) = self.query("select count(*) from pgflow.step_tasks where status = 'completed'")
        return int(row["count"]) / TASKS

    def end(self) -> None:
        for worker in self.workers:
            worker.terminate()
        assert [worker.wait(30) for worker in self.workers] == [0] * len(self.workers)


@pytest.fixture
def scene(newest_server: Server) -> Iterator[Scene]:
    server = Server(newest_server.version, newest_server.binaries)
    database = server.create_database(server.template())
    with Pooler(server) as pooler:
        scene = Scene(server, pooler, database)
        with psycopg.connect(scene.url, autocommit=True) as connection:
            connection.execute(workload.EFFECTS)
        yield scene
        for worker in scene.workers:
            worker.kill()
            worker.wait()
    server.stop()


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_SECONDS + 60)
@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
def test_nothing_is_lost_and_nothing_is_left_when_everything_fails(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    asyncio.run(start_runs(scene))
    for _ in range(WORKERS):
        scene.add_worker()
    let_everything_fail(scene)
    wait_until(lambda: not scene.query("select run_id from pgflow.runs where status = 'started' limit 1"), scene)
    scene.end()
    seconds = time.monotonic() - began
    found = count_effects(scene)
    record_property("statistics", table(scene.counts, found, seconds))
    assert (found["effects"], found["lost"], found["doubled"]) == (TASKS, 0, 0)
    assert_all_is_well(scene)


async def start_runs(scene: Scene) -> None:
    async with PgFlow(scene.url, listen=False) as app:
        await app.ensure_compiled(workload.chain)
        await app.ensure_compiled(workload.fan)
        await app.start_flows(workload.fan, [ELEMENTS] * MAPS)
        await app.start_flows(workload.chain, range(CHAINS))


def let_everything_fail(scene: Scene) -> None:
    """Kill a worker every second, and server and pooler at their time, until most tasks are completed."""
    disasters = sorted(
        [(share, scene.crash_the_server) for share in CRASHES_AT]
        + [(share, scene.kill_the_pooler) for share in POOLER_KILLS_AT],
        key=lambda disaster: disaster[0],
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    next_kill = time.monotonic() + 1
    while (share := scene.share()) < KILLS_UNTIL or disasters:
        assert time.monotonic() < deadline, f"only {share:.0%} of the tasks are completed"
        scene.replace_the_fallen()
        if disasters and share >= disasters[0][0]:
            disasters.pop(0)[1]()
        if time.monotonic() >= next_kill:
            scene.kill_a_worker()
            next_kill += 1
        time.sleep(0.05)


def wait_until(condition: Callable[[], object], scene: Scene) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, scene.query("select status, count(*) from pgflow.step_tasks group by 1")
        scene.replace_the_fallen()
        time.sleep(0.1)


def count_effects(scene: Scene) -> Counter[str]:
    """Count the tasks that have left no trace, or more than one."""
    (row,) = scene.query("""
        select count(*) as tasks, sum(traces) as effects, max(attempts_count) as attempts,
          count(*) filter (where traces = 0) as lost, count(*) filter (where traces > 1) as doubled
        from (
          select t.attempts_count, count(e.attempt) as traces
          from pgflow.step_tasks t
          left join effects e using (run_id, step_slug, task_index)
          group by t.run_id, t.step_slug, t.task_index
        ) as each
    """)
    return Counter({name: int(number) for name, number in row.items()})


def assert_all_is_well(scene: Scene) -> None:
    assert scene.query("select distinct status from pgflow.runs") == [{"status": "completed"}]
    outputs = scene.query("select flow_slug, input, output from pgflow.runs")
    for run in outputs:
        if run["flow_slug"] == "chain":
            assert run["output"] == {f"link_{workload.CHAIN_LENGTH}": run["input"] + workload.CHAIN_LENGTH}
        else:
            assert run["output"] == {"total": ELEMENTS * (ELEMENTS - 1)}
    assert len(outputs) == MAPS + CHAINS
    (tasks,) = scene.query("select count(*) from pgflow.step_tasks where status = 'completed'")
    assert tasks["count"] == TASKS
    for flow in ("chain", "fan"):
        assert scene.query(f"select msg_id from pgmq.q_{flow}") == []
    with psycopg.connect(scene.url, row_factory=dict_row) as connection:
        check_invariants(connection)


def table(counts: Counter[str], found: Counter[str], seconds: float) -> str:
    rows = {
        "kills of workers": counts["kills"],
        "starts that failed": counts["failed starts"],
        "restarts of the server": counts["restarts of the server"],
        "restarts of the pooler": counts["restarts of the pooler"],
        "tasks": found["tasks"],
        "effects": found["effects"],
        "most attempts at a task": found["attempts"],
        "lost": found["lost"],
        "doubled": found["doubled"],
        "seconds": round(seconds),
    }
    return "\n".join(f"{name:26}{number:>8}" for name, number in rows.items())
