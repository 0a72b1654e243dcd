"""Timeouts, lost connections and killed workers: what `ctx.transaction()` wrote is there exactly once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncCursor

from conftest import as_superuser
from pgflow import Context, Flow, PgFlow
from worker import effects
from worker.effects import INSERT, POINTS, numbers
from worker.running import DEADLINE_SECONDS, ended, eventually, query, task, worked, working

TESTS = Path(__file__).parent.parent
DAY = "interval '1 day'"
BACKDATE = f"update pgflow.step_tasks set started_at = started_at - {DAY}, queued_at = queued_at - {DAY}"


@pytest.fixture
def url(newest_database_url: str) -> str:
    """A database with a table for what handlers do."""
    query(newest_database_url, "create table effects (kind text, number int)")
    return newest_database_url


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_a_timeout_takes_back_what_was_written(app: PgFlow, url: str, kind: str) -> None:
    flow = Flow("slow", max_attempts=2, base_delay=0, timeout=1)
    released = threading.Event()

    def in_thread(number: int, ctx: Context) -> int:
        with ctx.transaction() as connection:
            connection.execute(INSERT, (kind, number * ctx.attempt))
        if ctx.attempt == 1:
            assert released.wait(DEADLINE_SECONDS)
        return ctx.attempt

    async def on_loop(number: int, ctx: Context) -> int:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, (kind, number * ctx.attempt))
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    flow.step(in_thread if kind == "thread" else on_loop, slug="step")
    async with working(app, flow):
        assert (await ended(app, flow, 1)).output == {"step": 2}
        released.set()
        await eventually(lambda: open_transactions(url) == 0, "the first attempt is rolled back")
    assert numbers(url) == [2]


def open_transactions(url: str) -> int:
    statement = "select pid from pg_stat_activity where datname = current_database() and state like 'idle in%%'"
    return len(query(url, statement))


@pytest.mark.parametrize("kind", ["thread", "loop"])
async def test_a_task_that_was_given_to_somebody_else_writes_nothing(app: PgFlow, url: str, kind: str) -> None:
    flow = Flow("stalled", max_attempts=5, base_delay=0)

    def take_away(attempt: int) -> None:
        if attempt == 1:  # as recovery does with a worker that is thought dead
            query(url, BACKDATE)
            query(url, "select pgflow.requeue_stalled_tasks()")

    def in_thread(number: int, ctx: Context) -> int:
        with ctx.transaction() as connection:
            connection.execute(INSERT, (kind, number * ctx.attempt))
        take_away(ctx.attempt)
        return ctx.attempt

    async def on_loop(number: int, ctx: Context) -> int:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, (kind, number * ctx.attempt))
        await asyncio.to_thread(take_away, ctx.attempt)
        return ctx.attempt

    flow.step(in_thread if kind == "thread" else on_loop, slug="step")
    assert (await worked(app, flow, 1)).output == {"step": 2}
    assert numbers(url) == [2]


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
async def test_a_commit_without_an_answer_is_never_done_twice(
    app: PgFlow, url: str, is_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = AsyncCursor.execute
    lost = 0

    async def losing(self: Any, statement: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal lost
        if statement == "commit" and not lost:
            lost += 1
            if is_committed:
                await execute(self, statement)
            terminate(url, self.connection.info.backend_pid)
            await execute(self, "select 1")
        return await execute(self, statement, *arguments, **options)

    monkeypatch.setattr(AsyncCursor, "execute", losing)
    flow = Flow("unanswered", max_attempts=1)

    @flow.step
    async def step(number: int, ctx: Context) -> int:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, ("loop", number))
        return number

    assert (await worked(app, flow, 1)).output == {"step": 1}
    assert (lost, numbers(url), task(url)["attempts_count"]) == (1, [1], 1)


def terminate(url: str, process_id: int) -> None:
    with as_superuser(url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", (process_id,))


async def test_connections_that_died_while_idle_cost_no_attempt(app: PgFlow, url: str) -> None:
    flow = effects.flow
    async with working(app, flow):
        await ended(app, flow, [1, 2, 3])
        ended_with = "select pid from pg_stat_activity where datname = current_database() and query = 'commit'"
        for row in query(url, ended_with):
            terminate(url, row["pid"])
        assert (await ended(app, flow, [4])).status == "completed"
    assert {row["attempts_count"] for row in query(url, "select attempts_count from pgflow.step_tasks")} == {1}


async def test_a_server_that_is_read_only_for_a_while_costs_no_attempt(app: PgFlow, url: str) -> None:
    async with working(app, effects.flow):
        set_read_only(url, True)
        run = await app.start_flow(effects.flow, [1])
        released = "select * from pgmq.q_effects where read_ct > 1"
        await eventually(lambda: query(url, released), "the task was put back and tried again")
        set_read_only(url, False)
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
    assert {row["attempts_count"] for row in query(url, "select attempts_count from pgflow.step_tasks")} == {1}
    assert numbers(url) == [1, 1]


def set_read_only(url: str, to: bool) -> None:
    """Let new sessions refuse to write, as those of a standby do."""
    with as_superuser(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("set default_transaction_read_only = off")
        connection.execute(f'alter database "{name}" set default_transaction_read_only = {"on" if to else "off"}')


@pytest.mark.slow
@pytest.mark.parametrize("step", ["on_loop", "in_thread"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_is_killed_anywhere_leaves_one_effect_per_task(
    app: PgFlow, url: str, point: str, step: str, tmp_path: Path
) -> None:
    await app.ensure_compiled(effects.flow)
    reached = tmp_path / "reached"
    run = await app.start_flow(effects.flow, [1, 2, 3, 4, 5])
    keep_only(url, step)
    program = started(url, point, str(reached))
    try:
        await eventually(reached.exists, "the point is reached")
    finally:
        program.kill()
        program.wait()
    keep_only(url, None)
    await eventually(lambda: open_transactions(url) == 0, "the server has noticed")
    query(url, f"{BACKDATE} where status = 'started'")
    query(url, "select pgflow.requeue_stalled_tasks()")
    async with working(app, effects.flow):
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
    assert numbers(url) == sorted([1, 2, 3, 4, 5] * 2)


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "worker.effects", *arguments], cwd=TESTS)


def keep_only(url: str, step: str | None) -> None:
    """Let only the tasks of one step be seen by workers, or those of all."""
    delay = "case when message ->> 'step_slug' = %s then now() else now() + interval '1 hour' end"
    query(url, f"update pgmq.q_effects set vt = {delay if step else 'now()'}", *([step] if step else []))
