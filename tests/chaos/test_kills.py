"""Workers die at any moment, and every task is completed all the same, once."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from chaos import program
from pgflow import PgFlow
from worker.running import DEADLINE_SECONDS, eventually, query

ELEMENTS = 200
RUNS = 50
WORKERS = 2
KILLS = 6


class Fleet:
    """Worker processes on one database, told apart by their names."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._numbers = itertools.count(1)

    def add(self, point: str | None = None) -> subprocess.Popen[bytes]:
        name = f"worker-{next(self._numbers)}"
        command = [sys.executable, program.__file__ or "", self.url, name, *([point] if point else [])]
        self.processes[name] = subprocess.Popen(command)
        return self.processes[name]

    def kill_one(self) -> bool:
        """Kill a worker that works, if there is one, and put another one in its place."""
        registered = query(self.url, "select function_name from pgflow.workers")
        alive = [row["function_name"] for row in registered if self.processes[row["function_name"]].poll() is None]
        if not alive:
            return False
        victim = self.processes[random.choice(alive)]
        victim.kill()
        victim.wait()
        self.add()
        return True

    def recover(self) -> None:
        """Let what the dead have left be stalled, and put it back.

        However often: a task that is killed four times would count as the killer, and be given up.
        """
        dead = [name for name, process in self.processes.items() if process.poll() is not None]
        query(
            self.url,
            "update pgflow.step_tasks"
            " set queued_at = queued_at - interval '2 min', started_at = started_at - interval '2 min',"
            " requeued_count = 0"
            " where status = 'started' and last_worker_id in"
            " (select worker_id from pgflow.workers where function_name = any (%s))",
            dead,
        )
        query(self.url, "select pgflow.requeue_stalled_tasks()")

    def end(self) -> None:
        """Let those that live finish."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(DEADLINE_SECONDS)


@pytest.fixture
def url(newest_database_url: str) -> str:
    query(newest_database_url, program.EFFECTS)
    return newest_database_url


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    fleet = Fleet(url)
    yield fleet
    for process in fleet.processes.values():
        process.kill()
        process.wait()


def completed(url: str) -> int:
    return int(query(url, "select count(*) from pgflow.step_tasks where status = 'completed'")[0]["count"])


@pytest.mark.slow
async def test_every_task_is_completed_once_however_often_workers_are_killed(url: str, fleet: Fleet) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(program.many)
        await app.ensure_compiled(program.single)
        map_run = await app.start_flow(program.many, list(range(ELEMENTS)))
        single_runs = await app.start_flows(program.single, range(RUNS))
        for _ in range(WORKERS):
            fleet.add()
        for moment in sorted(random.sample(range(1, ELEMENTS + RUNS - 20), KILLS)):
            await eventually(partial(reached, fleet, moment), f"{moment} tasks are completed")
            await eventually(fleet.kill_one, "there is a worker to kill")
        await eventually(partial(all_runs_have_ended, fleet), "all runs have ended")
        fleet.end()
        assert (await map_run.refresh()).output == {"element": [value * 2 for value in range(ELEMENTS)]}
        assert [(await run.refresh()).output for run in single_runs] == [{"only": value * 2} for value in range(RUNS)]
    assert_all_is_well(url)


def reached(fleet: Fleet, moment: int) -> bool:
    fleet.recover()
    return completed(fleet.url) >= moment


def all_runs_have_ended(fleet: Fleet) -> bool:
    fleet.recover()
    return not query(fleet.url, "select run_id from pgflow.runs where status = 'started'")


def assert_all_is_well(url: str) -> None:
    tasks = query(url, "select run_id, task_index, status, attempts_count from pgflow.step_tasks")
    assert Counter(row["status"] for row in tasks) == {"completed": ELEMENTS + RUNS}
    effects = Counter((row["run_id"], row["task_index"]) for row in query(url, "select * from effects"))
    assert set(effects) == {(row["run_id"], row["task_index"]) for row in tasks}, "a task completed without its effect"
    for row in tasks:
        assert effects[row["run_id"], row["task_index"]] <= row["attempts_count"], "a handler ran without an attempt"
    for flow_slug, count in (("many", ELEMENTS), ("single", RUNS)):
        assert query(url, f"select count(*) from pgmq.q_{flow_slug}") == [{"count": 0}]
        assert query(url, f"select count(*) from pgmq.a_{flow_slug}") == [{"count": count}]


@pytest.mark.parametrize(
    ("point", "status", "attempts"),
    [
        ("after the fetch", "started", [2]),
        ("before the report", "started", [1, 2]),
        ("after the report", "completed", [1]),
    ],
)
async def test_a_worker_may_die_at_this_point(
    url: str, fleet: Fleet, point: str, status: str, attempts: list[int]
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(program.single)
        run = await app.start_flow(program.single, 21)
        died = fleet.add(point)
        assert await asyncio.to_thread(died.wait, DEADLINE_SECONDS) == program.DIED
        assert query(url, "select status from pgflow.step_tasks") == [{"status": status}]
        fleet.recover()
        fleet.add()
        assert await run.result(DEADLINE_SECONDS) == {"only": 42}
        fleet.end()
    traces = query(url, "select attempt from effects order by attempt")
    assert [row["attempt"] for row in traces] == attempts
    assert query(url, "select count(*) from pgmq.q_single") == [{"count": 0}]
