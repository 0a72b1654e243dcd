"""One constructor per SQL function, each of which runs, on any driver."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest

from pgflow import RunNotFound, calls
from pgflow.calls import Call, RunFilters
from pgflow.types import StartedTask, TaskReport
from servers import Server

RUN = UUID("00000000-0000-0000-0000-000000000001")
WORKER = UUID("00000000-0000-0000-0000-00000000000a")
REPORT = TaskReport(RUN, "a", 0, 1, output=b"1")
FAILURE = TaskReport(RUN, "a", 0, 1, error_message="boom", final=True)
RELEASE = TaskReport(RUN, "a", 0, 1, release_delay=5)
TASK = StartedTask("flow", RUN, "a", 0, {}, None, 1, 1, 3, 60)
SHAPE = b'{"steps": [{"slug": "a"}]}'

SAMPLES: dict[str, Call[Any]] = {
    "add_step": calls.add_step("flow", "b", ["a"], timeout=5, required_input_pattern=b'{"a": 1}'),
    "calculate_retry_delay": calls.calculate_retry_delay(5, 2),
    "cancel_runs": calls.cancel_runs([RUN], "not needed"),
    "cascade_complete_taskless_steps": calls.cascade_complete_taskless_steps(RUN),
    "cascade_resolve_conditions": calls.cascade_resolve_conditions(RUN),
    "cleanup_ensure_workers_logs": calls.cleanup_ensure_workers_logs(5),
    "compare_flow": calls.compare_flow("flow", SHAPE),
    "complete_task": calls.complete_task(RUN, "a", 0, b"1"),
    "complete_tasks": calls.complete_tasks([REPORT]),
    "count_data_older_than": calls.count_data_older_than(timedelta(days=1), ["flow"]),
    "count_runs": calls.count_runs(RunFilters(["flow"], ["failed"], input_contains=b"{}", tags=["x"])),
    "create_flow": calls.create_flow("other", max_attempts=2),
    "delay_run": calls.delay_run("flow", RUN, 5),
    "delete_flow_and_data": calls.delete_flow_and_data("flow"),
    "delete_message": calls.delete_message("flow", 1),
    "ensure_flow_compiled": calls.ensure_flow_compiled("flow", SHAPE),
    "ensure_workers": calls.ensure_workers(),
    "exchange_tasks": calls.exchange_tasks([REPORT], {"flow": WORKER}, 5),
    "extend_leases": calls.extend_leases([TASK]),
    "fail_stalled_tasks": calls.fail_stalled_tasks(),
    "fail_task": calls.fail_task(RUN, "a", 0, "boom"),
    "fail_tasks": calls.fail_tasks([FAILURE]),
    "fetch_tasks": calls.fetch_tasks("flow", WORKER, 5),
    "flow_exists": calls.flow_exists("flow"),
    "get_flow_input": calls.get_flow_input(RUN),
    "get_queue_depths": calls.get_queue_depths(["flow"]),
    "get_run": calls.get_run(RUN),
    "get_run_by_key": calls.get_run_by_key("flow", "order 7"),
    "get_run_statuses": calls.get_run_statuses([RUN]),
    "get_run_tags": calls.get_run_tags(RUN),
    "get_run_with_states": calls.get_run_with_states(RUN),
    "get_runs_if_ended": calls.get_runs_if_ended([RUN]),
    "get_step_output": calls.get_step_output(RUN, "a"),
    "get_step_progress": calls.get_step_progress(RUN),
    "grant_starter": calls.grant_starter("app"),
    "grant_worker": calls.grant_worker("app"),
    "is_local": calls.is_local(),
    "is_valid_slug": calls.is_valid_slug("a"),
    "keep_alive": calls.keep_alive({WORKER: "flow"}, "test"),
    "list_flows": calls.list_flows(["flow"]),
    "list_runs": calls.list_runs(RunFilters(["flow"], tags=["x", "y"]), limit=5),
    "list_tasks": calls.list_tasks(RUN, "a"),
    "list_workers": calls.list_workers(["flow"], with_stopped=True),
    "mark_worker_stopped": calls.mark_worker_stopped(WORKER),
    "maybe_complete_run": calls.maybe_complete_run(RUN),
    "poll_for_tasks": calls.poll_for_tasks("flow", 5, 5),
    "prune_data_older_than": calls.prune_data_older_than(timedelta(days=1), ["flow"]),
    "read": calls.read("flow", 5, 5),
    "recover_stalled_tasks": calls.recover_stalled_tasks(30),
    "recover_tasks": calls.recover_tasks(),
    "register_listener": calls.register_listener(WORKER, "runs"),
    "register_worker": calls.register_worker(WORKER, "flow", "test"),
    "release_lost_tasks": calls.release_lost_tasks([WORKER], [(RUN, "a", 0, 1)]),
    "release_tasks": calls.release_tasks([RELEASE]),
    "requeue_stalled_tasks": calls.requeue_stalled_tasks(),
    "retry_runs": calls.retry_runs([RUN]),
    "revoke_grants": calls.revoke_grants("app"),
    "seconds_until": calls.seconds_until(datetime(2020, 1, 1, tzinfo=UTC)),
    "set_flow_type": calls.set_flow_type("flow", "job"),
    "set_vt_batch": calls.set_vt_batch("flow", [1], [5]),
    "setup_ensure_workers_cron": calls.setup_ensure_workers_cron(),
    "setup_requeue_stalled_tasks_cron": calls.setup_requeue_stalled_tasks_cron(),
    "start_flow": calls.start_flow("flow", b"1", UUID(int=2)),
    "start_flow_with_states": calls.start_flow_with_states("flow", b"1"),
    "start_flows": calls.start_flows("flow", [b"1", b"null"], delay=5),
    "start_ready_steps": calls.start_ready_steps(RUN),
    "start_runs": calls.start_runs("flow", [b"1", b"null"], keys=["a", None], tags=["x"], delay=5),
    "start_tasks": calls.start_tasks("flow", [1], WORKER),
    "stop_workers": calls.stop_workers([WORKER]),
    "track_worker_function": calls.track_worker_function("function"),
    "unregister_listener": calls.unregister_listener(WORKER),
    "upsert_flow": calls.upsert_flow("flow", SHAPE, "if_changed"),
}

AROUND_OTHERS = {"describe_run"}
"""Functions that say what others return."""

OF_PGMQ = {"read", "delete_message"}
OF_EXTENSIONS = {"setup_ensure_workers_cron", "setup_requeue_stalled_tasks_cron"}
"""They need pg_cron, and say so."""


def result_of(session: psycopg.Connection[Any], call: Call[Any]) -> Any:
    return call.decode(session.execute(call.sql, call.arguments).fetchall())


def constructors() -> set[str]:
    return {name for name in calls.__all__ if inspect.isfunction(getattr(calls, name))}


@pytest.fixture(scope="module")
def url(newest_server: Server) -> Iterator[str]:
    """A database with a flow, a run of it, and a worker; tests leave it as it is."""
    name = newest_server.create_database(newest_server.template())
    with psycopg.connect(newest_server.url(name), autocommit=True) as connection:
        connection.execute("select pgflow.create_flow('flow'), pgflow.add_step('flow', 'a')")
        connection.execute("select pgflow.register_worker(%s, 'flow', 'test')", (WORKER,))
        connection.execute("select pgflow.start_flow('flow', '{}', %s)", (RUN,))
    yield newest_server.url(name)
    newest_server.drop_database(name)


@pytest.fixture
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transaction is rolled back."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


@pytest.mark.feature("A5.26")
def test_every_public_function_has_a_constructor_and_the_other_way_round(session: psycopg.Connection[Any]) -> None:
    found = session.execute(
        "select distinct proname from pg_proc where pronamespace = 'pgflow'::regnamespace and proname !~ '^_'"
    )
    public = {name for (name,) in found}
    assert constructors() - OF_PGMQ == public - AROUND_OTHERS


def test_every_constructor_has_a_sample() -> None:
    assert SAMPLES.keys() == constructors()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_constructor_calls_the_function_of_its_name_and_says_so(name: str) -> None:
    called = set(re.findall(r"\b(pgflow|pgmq)\.(\w+)\(", SAMPLES[name].sql))
    called -= {("pgflow", each) for each in AROUND_OTHERS}
    expected = {"read": ("pgmq", "read"), "delete_message": ("pgmq", "delete")}.get(name, ("pgflow", name))
    assert called == {expected}
    assert f"`{'.'.join(expected)}`" in (getattr(calls, name).__doc__ or "")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_call_runs_with_psycopg(session: psycopg.Connection[Any], name: str) -> None:
    call = SAMPLES[name]
    try:
        rows = session.execute(call.sql, call.arguments).fetchall()
    except psycopg.errors.FeatureNotSupported:
        if name not in OF_EXTENSIONS:
            raise
    else:
        call.decode(rows)


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_call_runs_with_a_driver_that_numbers_its_parameters(url: str, name: str) -> None:
    call = SAMPLES[name]
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        rows = await connection.fetch(call.numbered(), *call.arguments)
    except asyncpg.FeatureNotSupportedError:
        if name not in OF_EXTENSIONS:
            raise
    else:
        call.decode(rows)
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.mark.parametrize("constructor", [calls.get_run, calls.get_run_with_states, calls.get_flow_input])
def test_a_run_that_is_not_there_is_not_found(session: psycopg.Connection[Any], constructor: Any) -> None:
    call = constructor(UUID(int=7))
    with pytest.raises(RunNotFound):
        call.decode(session.execute(call.sql, call.arguments).fetchall())


@pytest.mark.feature("A2.13", "A2.16", "A4.23", "A5.4", "A5.18", "A5.26")
def test_a_task_is_worked_by_the_calls_of_the_contract(session: psycopg.Connection[Any]) -> None:
    run = partial(result_of, session)

    [message] = run(calls.read("flow", 30, 10))
    assert (message.read_ct, message.message["step_slug"]) == (1, "a")
    [task] = run(calls.start_tasks("flow", [message.msg_id], WORKER))
    assert (task.run_id, task.task_index, task.input, task.flow_input) == (RUN, 0, {}, {})
    assert run(calls.fail_task(RUN, "a", 0, "boom")).status == "queued"
    assert run(calls.set_vt_batch("flow", [message.msg_id], [0]))[0].msg_id == message.msg_id
    run(calls.start_tasks("flow", [message.msg_id], WORKER))
    assert run(calls.complete_task(RUN, "a", 0, b'"done"')).output == "done"
    assert run(calls.complete_task(RUN, "unknown", 0, b"1")) is None
    assert run(calls.get_run(RUN)).output == {"a": "done"}
    assert run(calls.delete_message("flow", message.msg_id)) is False


@pytest.mark.feature("A2.7", "A2.13")
def test_a_message_is_read_and_deleted_once(session: psycopg.Connection[Any]) -> None:
    run = partial(result_of, session)
    [message] = run(calls.read("flow", 0, 10))
    assert run(calls.delete_message("flow", message.msg_id)) is True
    assert run(calls.delete_message("flow", message.msg_id)) is False
    assert run(calls.read("flow", 0, 10)) == []
