"""Cancelling and retrying, by either client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from client.flows import each, greeting
from client.workbench import Workbench
from pgflow import (
    CancelOutcome,
    InvalidInput,
    NotGranted,
    PgFlow,
    RetryOutcome,
    RunFailed,
    RunFailedEvent,
    RunNotFound,
    telemetry,
)
from roles import granted_role
from servers import Server


@pytest.fixture
def told() -> Iterator[list[tuple[str, UUID, Any]]]:
    """What telemetry tells of runs: event, run and error."""
    events: list[tuple[str, UUID, Any]] = []

    def note(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        assert measurements.get("duration", 0) >= 0
        events.append((event, metadata["run_id"], metadata.get("error")))

    telemetry.attach("control", ["run.started", "run.completed", "run.failed"], note)
    yield events
    telemetry.detach("control")


class TestOneRun:
    async def test_it_is_cancelled_once(self, greeter: Any) -> None:
        run = await greeter.start_flow(greeting, 1)
        assert await greeter.cancel_run(run.run_id, reason="not needed") == CancelOutcome.CANCELLED
        assert await greeter.cancel_run(str(run.run_id)) == CancelOutcome.ALREADY_CANCELLED
        await run.refresh()
        assert (run.status, run.cancelled, run.cancel_reason) == ("failed", True, "not needed")

    async def test_whoever_reads_it_sees_that_it_was_cancelled(self, greeter: Any) -> None:
        run = await greeter.start_flow(greeting, 1)
        other = await greeter.start_flow(greeting, 2)
        await greeter.cancel_run(run.run_id, reason="not needed")
        (listed,) = await greeter.list_runs(status="failed")
        for found in (listed, await greeter.get_run(run.run_id), await greeter.get_run_with_states(run.run_id)):
            assert (found.cancelled, found.cancel_reason) == (True, "not needed")
        assert not (await greeter.get_run(other.run_id)).cancelled

    async def test_who_waits_is_told(self, greeter: Any) -> None:
        run = await greeter.start_flow(greeting, 1)
        waiting = asyncio.create_task((await greeter.get_run(run.run_id)).result(30))
        await greeter.cancel_run(run.run_id, reason="not needed")
        with pytest.raises(RunFailed, match=f"run {run.run_id} of flow 'greeting' was cancelled: not needed") as caught:
            await waiting
        assert (caught.value.cancelled, caught.value.error_message) == (True, "not needed")
        assert caught.value.step_slug is None

    async def test_a_run_that_failed_by_itself_was_not_cancelled(self, greeter: Any, workbench: Workbench) -> None:
        run = await greeter.start_flow(greeting, 1)
        workbench.fail("boom")
        assert await greeter.cancel_run(run.run_id) == CancelOutcome.ENDED
        with pytest.raises(RunFailed, match=r"failed in step 'name': boom") as caught:
            await run.result(30)
        assert not caught.value.cancelled

    async def test_it_goes_on_when_it_is_retried(self, greeter: Any, workbench: Workbench) -> None:
        run = await greeter.start_flow(greeting, {"name": "Ada"})
        workbench.fail("boom")
        assert await greeter.retry_run(run.run_id) == RetryOutcome.RETRIED
        assert await greeter.retry_run(run.run_id) == RetryOutcome.RUNNING
        assert (await run.refresh()).status == "started"
        workbench.echo()
        assert await run.result(30) == {"greet": {"name": "Ada"}}
        assert await greeter.retry_run(run.run_id) == RetryOutcome.COMPLETED

    async def test_its_handle_can_do_both(self, greeter: Any, workbench: Workbench) -> None:
        run = await greeter.start_flow(greeting, {"name": "Ada"})
        cancelled = await run.cancel(reason="paused")
        assert (cancelled.status, cancelled.cancel_reason, cancelled.step("name").status) == (
            "failed", "paused", "started"
        )  # fmt: skip
        assert (await run.cancel(reason="again")).cancel_reason == "paused"
        retried = await run.retry()
        assert (retried.status, retried.cancelled, retried.failed_at) == ("started", False, None)
        workbench.echo()
        assert await run.result(30) == {"greet": {"name": "Ada"}}
        assert (await run.retry()).status == "completed"

    @pytest.mark.parametrize("run_id", [uuid4(), "no run id", None, 7])
    async def test_one_that_is_not_there_is_an_error(self, greeter: Any, run_id: Any) -> None:
        for call in (greeter.cancel_run, greeter.retry_run):
            with pytest.raises(RunNotFound, match="no run"):
                await call(run_id)

    async def test_a_handle_of_a_run_that_was_deleted_says_so(self, greeter: Any) -> None:
        run = await greeter.start_flow(greeting, 1)
        await greeter.delete_flow("greeting")
        for call in (run.cancel, run.retry):
            with pytest.raises(RunNotFound):
                await call()

    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            (7, "a reason is a text, not int"),
            ("a\0b", "a reason can't contain NUL characters"),
            ("\ud800", "a reason can't contain lone surrogates"),
            ("x" * 10_001, "a reason has at most 10000 characters, not 10001"),
        ],
    )
    async def test_a_reason_that_cannot_be_is_refused(self, greeter: Any, reason: Any, message: str) -> None:
        run = await greeter.start_flow(greeting, 1)
        for call in (greeter.cancel_run(run.run_id, reason=reason), run.cancel(reason=reason)):
            with pytest.raises(InvalidInput, match=message):
                await call
        assert (await run.refresh()).status == "started"

    @pytest.mark.parametrize(("reason", "kept"), [("", None), ("  ", None), (" trimmed ", "trimmed"), ("ü🙂", "ü🙂")])
    async def test_a_reason_may_be_any_text(self, greeter: Any, reason: str, kept: str | None) -> None:
        run = await greeter.start_flow(greeting, 1)
        assert (await run.cancel(reason=reason)).cancel_reason == kept


class TestManyRuns:
    async def test_each_has_its_outcome_in_the_order_of_the_question(self, greeter: Any, workbench: Workbench) -> None:
        completed = await greeter.start_flow(greeting, {"name": "Ada"})
        workbench.echo()
        going_on, cancelled = await greeter.start_flows(greeting, [1, 2])
        await greeter.cancel_run(cancelled.run_id)
        unknown = uuid4()
        asked = [going_on.run_id, unknown, str(completed.run_id), cancelled.run_id, going_on.run_id]
        assert list((await greeter.cancel_runs(asked)).items()) == [
            (going_on.run_id, "cancelled"),
            (unknown, "not_found"),
            (completed.run_id, "ended"),
            (cancelled.run_id, "already_cancelled"),
        ]
        assert list((await greeter.retry_runs(asked)).items()) == [
            (going_on.run_id, "retried"),
            (unknown, "not_found"),
            (completed.run_id, "completed"),
            (cancelled.run_id, "retried"),
        ]

    async def test_runs_are_as_good_as_their_ids(self, greeter: Any) -> None:
        runs = await greeter.start_flows(greeting, range(250))
        assert {*(await greeter.cancel_runs(runs, reason="all")).values()} == {"cancelled"}
        assert await greeter.count_runs(status="failed") == 250
        assert {*(await greeter.retry_runs(runs)).values()} == {"retried"}
        assert await greeter.count_runs(status="started") == 250

    async def test_none_at_all_is_nothing(self, greeter: Any) -> None:
        assert await greeter.cancel_runs([]) == {}
        assert await greeter.retry_runs(iter(())) == {}

    @pytest.mark.parametrize("run_ids", ["00000000-0000-0000-0000-000000000001", uuid4(), None, 7])
    async def test_a_single_id_is_refused(self, greeter: Any, run_ids: Any) -> None:
        for call in (greeter.cancel_runs, greeter.retry_runs):
            with pytest.raises(InvalidInput, match="run_ids is a list of run ids, not"):
                await call(run_ids)

    async def test_a_text_that_is_no_run_id_is_refused(self, greeter: Any) -> None:
        run = await greeter.start_flow(greeting, 1)
        with pytest.raises(RunNotFound):
            await greeter.cancel_runs([run.run_id, "nonsense"])
        assert (await run.refresh()).status == "started"


class TestOnConnectionsOfCallers:
    async def test_it_happens_if_the_transaction_commits(self, shared_url: str) -> None:
        async with PgFlow(shared_url) as app, await psycopg.AsyncConnection.connect(shared_url) as own:
            await app.ensure_compiled(greeting)
            run = await app.start_flow(greeting, 1)
            assert await app.cancel_run(run.run_id, conn=own) == "cancelled"
            await own.rollback()
            assert (await run.refresh()).status == "started"
            assert await app.cancel_runs([run.run_id], reason="kept", conn=own) == {run.run_id: "cancelled"}
            assert await app.retry_run(run.run_id, conn=own) == "retried"
            assert await app.cancel_run(run.run_id, reason="last", conn=own) == "cancelled"
            await own.commit()
            assert (await run.refresh()).cancel_reason == "last"
            assert await app.retry_runs([run.run_id], conn=own) == {run.run_id: "retried"}
            await own.rollback()
            assert (await run.refresh()).cancelled


class TestTelling:
    async def test_telemetry_is_told_by_whoever_does_it(self, greeter: Any, told: list[Any]) -> None:
        run = await greeter.start_flow(greeting, 1)
        await greeter.cancel_run(run.run_id, reason="why")
        await greeter.cancel_run(run.run_id)
        await greeter.retry_run(run.run_id)
        await greeter.retry_run(run.run_id)
        assert told == [
            ("run.started", run.run_id, None),
            ("run.failed", run.run_id, "Run cancelled: why"),
            ("run.started", run.run_id, None),
        ]

    async def test_a_retry_that_ends_the_run_at_once_tells_that_too(self, client: Any, told: list[Any]) -> None:
        await client.upsert_flow("strict", [{"slug": "a", "if": {"is": "there"}, "when_unmet": "fail"}])
        run = await client.start_flow("strict", {})
        await client.retry_run(run.run_id)
        assert [event for event, _, _ in told] == ["run.started", "run.failed"] * 2
        assert told[-1][2] == "Condition not met"

    async def test_nothing_is_told_of_what_may_not_be_committed(self, shared_url: str, told: list[Any]) -> None:
        async with PgFlow(shared_url) as app, await psycopg.AsyncConnection.connect(shared_url) as own:
            await app.ensure_compiled(greeting)
            run = await app.start_flow(greeting, 1)
            told.clear()
            await app.cancel_run(run.run_id, conn=own)
            await app.retry_run(run.run_id, conn=own)
            assert told == []

    async def test_the_events_of_a_run_end_with_its_cancellation(self, shared_url: str) -> None:
        async with PgFlow(shared_url) as app:
            await app.ensure_compiled(greeting)
            run = await app.start_flow(greeting, 1)
            await app.cancel_run(run.run_id, reason="why")
            *_, last = [event async for event in run.events(30)]
        assert isinstance(last, RunFailedEvent)
        assert last.error_message == "Run cancelled: why"

    async def test_who_waits_while_the_run_is_retried_waits_for_its_next_end(
        self, shared_url: str, workbench: Workbench
    ) -> None:
        async with PgFlow(shared_url) as app:
            await app.ensure_compiled(greeting)
            run = await app.start_flow(greeting, {"name": "Ada"})
            stale = await (await app.get_run(run.run_id)).cancel()
            await app.retry_run(run.run_id)
            waiting = asyncio.create_task(stale.result(30))
            await asyncio.to_thread(workbench.echo)
            assert await waiting == {"greet": {"name": "Ada"}}


async def test_a_starter_may_do_both_and_a_worker_neither(newest_server: Server, newest_database_url: str) -> None:
    async with PgFlow(newest_database_url) as owner:
        await owner.ensure_compiled(each)
    name = str(psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"])
    with granted_role(newest_server, name, "starter") as starter, granted_role(newest_server, name, "worker") as worker:
        async with PgFlow(starter) as app, PgFlow(worker) as other:
            run = await app.start_flow(each, [1])
            for refused in (other.cancel_run(run.run_id), other.retry_run(run.run_id)):
                with pytest.raises(NotGranted, match="permission denied for function"):
                    await refused
            assert (await run.cancel(reason="by the starter")).cancel_reason == "by the starter"
            assert (await other.get_run(run.run_id)).cancelled
            assert (await run.retry()).status == "started"
