"""What handlers write in `ctx.transaction()` is committed with the completion of their task, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pgflow import Context, Flow, PgFlow, TransactionFailed, telemetry
from worker import effects
from worker import handlers_elsewhere as elsewhere
from worker.effects import INSERT, numbers
from worker.executing import executor_of, task_of
from worker.running import DEADLINE_SECONDS, ended, error_of, eventually, query, task, worked, working


@pytest.fixture
def url(newest_database_url: str) -> Iterator[str]:
    query(newest_database_url, "create table effects (kind text, number int)")
    query(newest_database_url, "create table unique_numbers (number int primary key deferrable initially deferred)")
    return newest_database_url


def both_kinds(body: Callable[[psycopg.Connection[Any]], Any], **options: Any) -> list[Flow]:
    """A flow with a thread and one with a coroutine that writes a row and does something more."""
    threads = Flow("threads", **{"base_delay": 0, **options})

    @threads.step
    def in_thread(number: int, ctx: Context) -> Any:
        with ctx.transaction() as connection:
            connection.execute(INSERT, ("thread", number))
            return body(connection)

    coroutines = Flow("coroutines", **{"base_delay": 0, **options})

    @coroutines.step
    async def on_loop(number: int, ctx: Context) -> Any:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, ("loop", number))
            return body(connection)  # type: ignore[arg-type]

    return [threads, coroutines]


def raising(error: BaseException) -> Callable[[Any], Any]:
    def body(connection: Any) -> Any:
        raise error

    return body


async def test_what_was_written_is_there_when_the_task_is_complete(app: PgFlow, url: str) -> None:
    async with working(app, effects.flow):
        run = await ended(app, effects.flow, [1, 2, 3])
    assert run.output == {"on_loop": [1, 2, 3], "in_thread": [1, 2, 3]}
    assert numbers(url) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    "body",
    [raising(ValueError("odd")), raising(SystemExit(1)), lambda connection: object(), lambda connection: float("nan")],
    ids=["exception", "exit", "no JSON", "NaN"],
)
async def test_what_was_written_is_gone_when_the_attempt_failed(
    app: PgFlow, url: str, body: Callable[[Any], Any]
) -> None:
    flows = both_kinds(body, max_attempts=2)
    async with working(app, *flows):
        for flow in flows:
            assert (await ended(app, flow, 1)).status == "failed"
    assert numbers(url) == []


async def test_an_exception_after_the_block_takes_it_back_too(app: PgFlow, url: str) -> None:
    flow = Flow("late", max_attempts=1)

    @flow.step
    def step(number: int, ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute(INSERT, ("thread", number))
        raise ValueError("after the block")

    assert error_of(await worked(app, flow, 1)) == "ValueError: after the block"
    assert numbers(url) == []


async def test_nobody_sees_the_rows_before_the_task_is_complete(app: PgFlow, url: str) -> None:
    flow = Flow("hidden")
    seen: list[list[int]] = []

    @flow.step
    def step(number: int, ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute(INSERT, ("thread", number))
        seen.append(numbers(url))

    await worked(app, flow, 1)
    assert (seen, numbers(url)) == ([[]], [1])


async def test_all_blocks_are_one_transaction_and_each_is_a_savepoint(app: PgFlow, url: str) -> None:
    flow = Flow("blocks")

    @flow.step
    def in_thread(value: Any, ctx: Context) -> list[bool]:
        with ctx.transaction() as first:
            first.execute(INSERT, ("thread", 1))
            with suppress(psycopg.errors.UndefinedTable), ctx.transaction() as inner:
                inner.execute(INSERT, ("thread", 2))
                inner.execute("insert into missing values (1)")
        with suppress(ValueError), ctx.transaction() as second:
            second.execute(INSERT, ("thread", 3))
            raise ValueError("odd")
        return [first is inner, first is second]

    @flow.step
    async def on_loop(value: Any, ctx: Context) -> list[bool]:
        async with ctx.transaction() as first:
            await first.execute(INSERT, ("loop", 4))
            with suppress(psycopg.errors.UndefinedTable):
                async with ctx.transaction() as inner:
                    await inner.execute(INSERT, ("loop", 5))
                    await inner.execute("insert into missing values (1)")
        return [first is inner]

    run = await worked(app, flow)
    assert run.output == {"in_thread": [True, True], "on_loop": [True]}
    assert numbers(url) == [1, 4]


@pytest.mark.parametrize("inside", [True, False], ids=["inside the block", "after the block"])
async def test_a_swallowed_error_of_the_database_fails_the_attempt_clearly(app: PgFlow, url: str, inside: bool) -> None:
    flow = Flow("swallowing", max_attempts=1)

    @flow.step
    def step(number: int, ctx: Context) -> str:
        with ctx.transaction() as connection:
            connection.execute(INSERT, ("thread", number))
            if inside:
                with suppress(psycopg.errors.UndefinedTable):
                    connection.execute("insert into missing values (1)")
        if not inside:
            with suppress(psycopg.errors.UndefinedTable):
                connection.execute("insert into missing values (1)")
        return "all is well"

    message = error_of(await worked(app, flow, 1))
    assert message.startswith("TransactionFailed: an error of the database was caught inside ctx.transaction()")
    assert numbers(url) == []


@pytest.mark.parametrize("statement", ["commit", "rollback", "select pg_terminate_backend(pg_backend_pid())"])
async def test_a_handler_that_ends_its_transaction_by_itself_fails(app: PgFlow, url: str, statement: str) -> None:
    flow = Flow("ending", max_attempts=1)

    @flow.step
    async def step(number: int, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, ("loop", number))
        await connection.execute(statement)

    message = error_of(await worked(app, flow, 1))
    expected = "AdminShutdown" if "pg_" in statement else "TransactionFailed: the handler has ended the transaction"
    assert message.startswith(expected)


async def test_a_constraint_that_is_checked_at_the_commit_fails_the_attempt(app: PgFlow, url: str) -> None:
    flow = Flow("constraints", max_attempts=2, base_delay=0)

    @flow.step
    def step(number: int, ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute("insert into unique_numbers values (%s), (%s)", (number, number))

    assert "UniqueViolation" in error_of(await worked(app, flow, 1))
    assert task(url)["attempts_count"] == 2
    assert query(url, "select * from unique_numbers") == []


async def test_an_output_that_cannot_be_mapped_over_takes_back_what_was_written(app: PgFlow, url: str) -> None:
    flow = Flow("violation")

    @flow.step
    def step(number: int, ctx: Context) -> Any:
        with ctx.transaction() as connection:
            connection.execute(INSERT, ("thread", number))
        return "no list"

    flow.map(lambda element: element, slug="mapped", over=step)
    assert (await worked(app, flow, 1)).status == "failed"
    assert numbers(url) == []


async def test_flows_can_be_started_with_the_completion(app: PgFlow, url: str) -> None:
    parent, child = Flow("parent", max_attempts=2, base_delay=0), Flow("child")
    child.step(lambda value: value, slug="step")

    @parent.step
    async def step(number: int, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await ctx.client.start_flow(child, number, conn=connection)
        if ctx.attempt == 1:
            raise ValueError("once")

    async with working(app, parent, child):
        await ended(app, parent, 7)
    assert len(query(url, "select * from pgflow.runs where flow_slug = 'child'")) == 1


async def test_events_tell_what_was_committed_and_what_it_ended(app: PgFlow) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    telemetry.attach("test", telemetry.ALL, lambda event, numbers, metadata: told.append((event, dict(metadata))))
    try:
        run = await worked(app, effects.flow, [1])
    finally:
        telemetry.detach("test")
    names = [name for name, metadata in told if metadata.get("run_id") == run.run_id]
    assert sorted(names) == ["run.completed", "run.started", *["task.start"] * 2, *["task.stop"] * 2]
    assert names[-1] == "run.completed"


async def test_settings_of_a_connection_do_not_reach_the_next_task(app: PgFlow, url: str) -> None:
    flow = Flow("settings")

    @flow.map
    def step(element: int, ctx: Context) -> Any:
        with ctx.transaction() as connection:
            row = connection.execute("select 1 as one").fetchone()
            connection.row_factory = dict_row
        return list(row or ())

    async with working(app, flow, concurrency=1):
        assert (await ended(app, flow, [1, 2])).output == {"step": [[1], [1]]}


async def test_more_tasks_than_connections_wait_for_each_other(app: PgFlow, url: str) -> None:
    async with working(app, effects.flow, concurrency=20, transaction_connections=2):
        assert (await ended(app, effects.flow, list(range(30)))).status == "completed"
    assert numbers(url) == sorted([*range(30), *range(30)])


async def test_a_task_without_a_connection_in_time_has_timed_out(app: PgFlow, url: str) -> None:
    flow = Flow("crowded", max_attempts=1, timeout=1)
    released = asyncio.Event()

    @flow.step(timeout=20)
    async def holder(value: Any, ctx: Context) -> None:
        async with ctx.transaction():
            await released.wait()

    @flow.step(when_exhausted="skip", start_delay=1)
    async def waiting(value: Any, ctx: Context) -> None:
        async with ctx.transaction():
            pass

    async with working(app, flow, transaction_connections=1):
        run = await app.start_flow(flow, 1)
        await eventually(lambda: "Task timed out after 1s" in errors(url), "the other task has timed out")
        released.set()
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"


def errors(url: str) -> list[str]:
    return [row["error_message"] for row in query(url, "select error_message from pgflow.step_tasks")]


# Where it doesn't work


async def test_the_wrong_kind_of_with_is_explained(app: PgFlow) -> None:
    flow = Flow("mistaken", max_attempts=1)

    @flow.step
    async def step(number: int, ctx: Context) -> None:
        with ctx.transaction():
            pass

    assert error_of(await worked(app, flow, 1)) == (
        "TypeError: `async def` handlers write `async with ctx.transaction()`"
    )


async def test_handlers_elsewhere_have_no_transaction() -> None:
    flow = Flow("elsewhere")
    flow.step(elsewhere.asks_for_transaction, executor="process")
    executor = executor_of(flow, processes=1)
    report = await executor.execute(task_of(flow, 1))
    await executor.close()
    expected = "PgFlowError: ctx.transaction() works in the worker's own process; run the step without executor=…"
    assert report.error_message == expected


async def test_a_transaction_ends_with_its_task(app: PgFlow) -> None:
    flow = Flow("ended")
    contexts: list[Context] = []

    @flow.step
    async def step(number: int, ctx: Context) -> None:
        contexts.append(ctx)

    async with working(app, flow):
        await ended(app, flow, 1)
        with pytest.raises(TransactionFailed, match="the task has ended"):
            async with contexts[0].transaction():
                pass
