"""Enqueuing jobs: now, later, many, in the caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from client.flows import greeting
from client.twins import Awaitable, in_thread
from pgflow import FlowNotFound, InvalidInput, PgFlow, RunStatus, calls, job, sync, telemetry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAR = timedelta(days=2)


def send_email(message: Any) -> Any:
    return message


class Office:
    """An application with a job, which is enqueued through the application or by itself."""

    def __init__(self, application: Any, job: Any) -> None:
        self.application = application
        self.job = job

    def by_application(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(self.application, name)(self.job, *arguments, **options)

        return call

    def by_itself(self, name: str) -> Callable[..., Any]:
        method = getattr(self.job, name)
        return method if isinstance(self.application, PgFlow) else in_thread(method)


@pytest.fixture(params=["async", "sync"])
async def office(request: pytest.FixtureRequest, shared_url: str) -> Any:
    if request.param == "async":
        async_job = job(send_email)
        async with PgFlow(shared_url, jobs=[async_job]) as application:
            await application.ensure_compiled(async_job)
            yield Office(application, async_job)
    else:
        blocking_job = sync.job(send_email)
        blocking = sync.PgFlow(shared_url, jobs=[blocking_job])
        await asyncio.to_thread(blocking.ensure_compiled, blocking_job)
        yield Office(Awaitable(blocking), blocking_job)
        await asyncio.to_thread(blocking.close)


@pytest.fixture(params=["by_application", "by_itself"])
def method(request: pytest.FixtureRequest, office: Office) -> Callable[[str], Any]:
    """Returns one of the ways to call a method."""
    return getattr(office, request.param)


def visible_in(connection: psycopg.Connection[Any]) -> list[float]:
    """Return in how many seconds each message becomes visible."""
    query = "select extract(epoch from vt - clock_timestamp())::float8 from pgmq.q_send_email order by msg_id"
    return [seconds for (seconds,) in connection.execute(query)]


def database_now(connection: psycopg.Connection[Any]) -> datetime:
    return connection.execute("select clock_timestamp()").fetchone()[0]


@pytest.mark.parametrize("value", [{"to": "ada"}, [], None, 0, "text"])
@pytest.mark.feature("A1.11", "B3.8")
async def test_a_job_is_enqueued(method: Any, shared_connection: Any, value: Any) -> None:
    run = await method("enqueue")(value)
    assert (run.flow_slug, run.status, run.input) == ("send_email", RunStatus.STARTED, value)
    assert [seconds <= 0 for seconds in visible_in(shared_connection)] == [True]


@pytest.mark.feature("B3.6")
async def test_a_job_is_listed_as_one(office: Office, shared_connection: Any) -> None:
    await office.application.ensure_compiled(greeting)
    assert {flow.slug: flow.flow_type for flow in await office.application.list_flows()} == {
        "greeting": "flow",
        "send_email": "job",
    }


async def test_a_flow_that_becomes_a_job_is_listed_as_one(shared_url: str) -> None:
    async with PgFlow(shared_url) as client:
        other = job(send_email)
        await client.ensure_compiled(other)
        await client.database.run(calls.set_flow_type(other.slug, "flow"))
        assert await client.ensure_compiled(other) == "verified"
        assert (await client.get_flow(other)).flow_type == "job"


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(0, 0), (60, 60), (59.2, 60), (timedelta(minutes=1), 60), (timedelta(milliseconds=1), 1), (2**31 - 1, 2**31 - 1)],
)
@pytest.mark.feature("A1.12", "A1.13")
async def test_a_delay_holds_the_task_back_and_not_the_run(
    method: Any, shared_connection: Any, delay: Any, seconds: int
) -> None:
    runs = [await method("enqueue")(1, delay=delay), await method("enqueue_in")(delay, 1)]
    assert [run.status for run in runs] == [RunStatus.STARTED] * 2
    assert visible_in(shared_connection) == pytest.approx([seconds] * 2, abs=3)


@pytest.mark.feature("A1.14")
async def test_a_time_is_an_instant_of_the_databases_clock(method: Any, shared_connection: Any) -> None:
    at = database_now(shared_connection) + timedelta(hours=1)
    await method("enqueue_at")(at, 1)
    await method("enqueue")(1, at=at.astimezone(timezone(timedelta(hours=-9, minutes=-30))))
    assert visible_in(shared_connection) == pytest.approx([3600] * 2, abs=3)


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC), NOW - FAR])
@pytest.mark.feature("A1.14")
async def test_a_time_that_has_passed_means_now(method: Any, shared_connection: Any, at: datetime) -> None:
    await method("enqueue_at")(at, 1)
    assert [seconds <= 0 for seconds in visible_in(shared_connection)] == [True]


async def test_a_time_beyond_the_longest_delay_is_the_longest_delay(method: Any, shared_connection: Any) -> None:
    await method("enqueue_at")(datetime(9999, 1, 1, tzinfo=UTC), 1)
    assert visible_in(shared_connection) == pytest.approx([2**31 - 1], abs=3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delay": 1, "at": NOW}, "delay and at exclude each other"),
        ({"delay": 0, "at": NOW}, "delay and at exclude each other"),
        ({"at": datetime(2026, 1, 1)}, "at needs a time zone"),
        ({"at": "2026-01-01"}, "at is a datetime"),
        ({"at": 5}, "at is a datetime"),
        ({"delay": -1}, "a delay must be from 0"),
        ({"delay": timedelta(seconds=-1)}, "a delay must be from 0"),
        ({"delay": float("nan")}, "a delay must be from 0"),
        ({"delay": float("inf")}, "a delay must be from 0"),
        ({"delay": 2**31}, "a delay must be from 0"),
        ({"delay": "5"}, "a delay is a number of seconds or a timedelta"),
        ({"delay": True}, "a delay is a number"),
        ({"delay": NOW}, "a delay is a number"),
        ({"run_id": "x"}, "a run id is a UUID"),
    ],
)
@pytest.mark.feature("A1.12", "A1.14")
async def test_options_that_make_no_sense_are_refused(
    method: Any, shared_connection: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await method("enqueue")(1, **options)
    assert visible_in(shared_connection) == []


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("enqueue_in", ({"to": "ada"}, 5), "a delay is a number"),
        ("enqueue_in", (None, 5), "delay is missing"),
        ("enqueue_at", ({"to": "ada"}, NOW), "at is a datetime"),
        ("enqueue_at", (None, 5), "at is missing"),
    ],
)
async def test_arguments_in_the_wrong_order_are_noticed(method: Any, name: str, arguments: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await method(name)(*arguments)


async def test_many_are_enqueued_in_one_call(method: Any, shared_connection: Any) -> None:
    runs = await method("enqueue_many")({"number": number} for number in range(100))
    assert [run.input["number"] for run in runs] == list(range(100))
    assert len(visible_in(shared_connection)) == 100


async def test_many_are_held_back_together(method: Any, shared_connection: Any) -> None:
    await method("enqueue_many")([1, 2], delay=60)
    await method("enqueue_many")([3], at=database_now(shared_connection) + timedelta(minutes=2))
    assert visible_in(shared_connection) == pytest.approx([60, 60, 120], abs=3)


async def test_none_of_many_is_no_call(method: Any, shared_connection: Any) -> None:
    assert await method("enqueue_many")([]) == []


async def test_all_or_none_of_many_are_enqueued(method: Any, shared_connection: Any) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        await method("enqueue_many")([1, "\0"])
    assert visible_in(shared_connection) == []


async def test_a_run_id_is_chosen_once(method: Any, shared_connection: Any) -> None:
    run_id = uuid4()
    assert (await method("enqueue_in")(1, 1, run_id=run_id)).run_id == run_id
    with pytest.raises(InvalidInput, match="is already in use"):
        await method("enqueue_at")(NOW, 1, run_id=str(run_id))
    assert len(visible_in(shared_connection)) == 1


@pytest.mark.parametrize("name", ["enqueue", "enqueue_in", "enqueue_at", "enqueue_many"])
async def test_a_job_is_enqueued_in_the_callers_transaction(
    method: Any, shared_url: str, shared_connection: Any, name: str
) -> None:
    arguments = {"enqueue": (1,), "enqueue_in": (60, 1), "enqueue_at": (NOW, 1), "enqueue_many": ([1],)}[name]
    with psycopg.connect(shared_url) as conn:
        await method(name)(*arguments, conn=conn)
        assert visible_in(shared_connection) == []
        conn.rollback()
        assert visible_in(shared_connection) == []
        await method(name)(*arguments, conn=conn)
        conn.commit()
    assert len(visible_in(shared_connection)) == 1


@pytest.mark.feature("A1.11")
async def test_a_job_is_enqueued_once_with_its_key(method: Any, office: Office, shared_connection: Any) -> None:
    runs = [
        await method("enqueue")(1, key="k", tags=["x"]),
        await method("enqueue_in")(60, 2, key="k"),
        await method("enqueue_at")(NOW, 3, key="k"),
        *await method("enqueue_many")([4, 5], keys=["k", "l"], tags=["y"]),
    ]
    assert len({run.run_id for run in runs}) == 2
    assert [run.existed for run in runs] == [False, True, True, True, False]
    assert len(visible_in(shared_connection)) == 2
    assert [await run.read_tags() for run in runs[-2:]] == [("x",), ("y",)]
    assert (await office.application.get_run_by_key(office.job, "l")).run_id == runs[-1].run_id


async def test_a_job_is_named_by_its_slug(office: Office) -> None:
    assert (await office.application.enqueue("send_email", 1)).flow_slug == "send_email"


async def test_a_job_that_is_not_registered_is_named(office: Office) -> None:
    with pytest.raises(FlowNotFound, match="'other'"):
        await office.application.enqueue("other", 1)


async def test_a_flow_is_started_and_not_enqueued(office: Office) -> None:
    with pytest.raises(InvalidInput, match=r"is no job: start_flow\(\) starts flows"):
        await office.application.enqueue(greeting, 1)


async def test_a_job_is_started_as_a_flow_too(office: Office) -> None:
    run = await office.application.start_flow(office.job, 1, delay=60)
    assert run.flow_slug == "send_email"


async def test_an_application_enqueues_jobs_of_the_other_kind(office: Office, shared_url: str) -> None:
    other = (sync.job if isinstance(office.application, PgFlow) else job)(send_email)
    assert (await office.application.enqueue(other, 1)).flow_slug == "send_email"


async def test_the_application_made_last_counts(shared_url: str) -> None:
    mail = job(send_email)
    PgFlow("postgresql://nobody@192.0.2.1:1/nothing", jobs=[mail])
    async with PgFlow(shared_url, jobs=[mail]) as application:
        await application.ensure_compiled(mail)
        run = await mail.enqueue(1)
        assert (await run.refresh()).input == 1


async def test_starts_are_told_unless_the_callers_transaction_decides(method: Any, shared_url: str) -> None:
    told: list[Any] = []
    telemetry.attach("test of jobs", ["run.started"], lambda *event: told.append(event))
    await method("enqueue")(1)
    await method("enqueue_many")([2, 3], delay=1)
    with psycopg.connect(shared_url) as conn:
        await method("enqueue")(4, conn=conn)
    telemetry.detach("test of jobs")
    assert len(told) == 3
