"""Runs started on a caller's own connection exist if and only if his transaction commits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from client.callers import CALLERS, Caller
from client.flows import each, greeting
from pgflow import ConnectionLost, FlowNotFound, InvalidInput, RunNotFound, RunStatus, UnusableConnection, sync

REMAINS = """
    select (select count(*) from pgflow.runs), (select count(*) from pgflow.step_states),
      (select count(*) from pgflow.step_tasks), (select count(*) from pgmq.q_greeting)
"""


@pytest.fixture
def watching(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees what is committed; the flows are registered, and a caller's table is there."""
    with sync.PgFlow(shared_url) as client:
        client.ensure_compiled(greeting)
        client.ensure_compiled(each)
    with psycopg.connect(shared_url, autocommit=True) as connection:
        connection.execute("drop table if exists public.orders")
        connection.execute("create table public.orders (number int primary key)")
        yield connection


@pytest.fixture(params=CALLERS, ids=lambda kind: kind.__name__)
def caller(request: pytest.FixtureRequest, watching: Any, shared_url: str) -> Iterator[Caller]:
    caller = request.param(shared_url)
    yield caller
    caller.leave()


def remains(watching: psycopg.Connection[Any]) -> tuple[int, ...]:
    """Return the numbers of runs, states, tasks and messages that are committed."""
    return watching.execute(REMAINS).fetchone()


@pytest.mark.feature("A1.4")
def test_a_run_exists_once_the_transaction_commits(caller: Caller, watching: Any) -> None:
    run = caller.start(greeting, {"name": "Ada"})
    assert remains(watching) == (0, 0, 0, 0)
    caller.do(caller.commit)
    assert remains(watching) == (1, 2, 1, 1)
    assert caller.do(run.refresh).input == {"name": "Ada"}


def test_a_run_is_gone_when_the_transaction_rolls_back(caller: Caller, watching: Any) -> None:
    caller.start(greeting, 1)
    caller.do(caller.rollback)
    assert remains(watching) == (0, 0, 0, 0)


def test_the_caller_writes_in_the_same_transaction(caller: Caller, watching: Any) -> None:
    caller.do(caller.execute, "insert into orders values (1)")
    caller.start(greeting, 1)
    caller.do(caller.execute, "insert into orders values (2)")
    assert watching.execute("select count(*) from orders").fetchone() == (0,)
    caller.do(caller.commit)
    assert watching.execute("select count(*) from orders").fetchone() == (2,)
    assert remains(watching)[0] == 1


def test_what_the_caller_wrote_goes_with_the_run(caller: Caller, watching: Any) -> None:
    caller.do(caller.execute, "insert into orders values (1)")
    caller.start(greeting, 1)
    caller.do(caller.rollback)
    assert watching.execute("select count(*) from orders").fetchone() == (0,)
    assert remains(watching)[0] == 0


def test_the_run_is_returned_as_from_the_client_itself(caller: Caller, watching: Any) -> None:
    run_id = uuid4()
    value = {"100 %s $1 %%": ["ü \U0001f600 'x' \\u0000", 2**80, 1.5, None, False]}
    run = caller.start(greeting, value, run_id=run_id)
    assert (type(run.run_id), run.run_id, run.status) == (UUID, run_id, RunStatus.STARTED)
    assert run.input == value
    assert run.started_at.utcoffset() == timedelta(0)
    assert (run.output, run.completed_at, run.remaining_steps) == (None, None, 2)


def test_many_runs_are_started_in_order(caller: Caller, watching: Any) -> None:
    runs = caller.start_many(greeting, ["a", {"b": '"\\'}, ["{,}"], None])
    assert [run.input for run in runs] == ["a", {"b": '"\\'}, ["{,}"], None]
    assert remains(watching)[0] == 0
    caller.do(caller.commit)
    assert remains(watching) == (4, 8, 4, 4)


def test_a_point_in_time_arrives_as_it_was(caller: Caller, watching: Any) -> None:
    (now,) = watching.execute("select clock_timestamp()").fetchone()
    at = (now + timedelta(hours=1)).astimezone(timezone(timedelta(hours=5, minutes=45)))
    caller.do(caller.client.enqueue, "greeting", 1, at=at, conn=caller.conn)
    caller.do(caller.commit)
    (visible_at,) = watching.execute("select vt from pgmq.q_greeting").fetchone()
    assert timedelta(0) <= visible_at - at < timedelta(seconds=2)


def test_the_client_does_not_see_a_run_before_the_commit(caller: Caller, watching: Any) -> None:
    run = caller.start(greeting, 1)
    with pytest.raises(RunNotFound):
        caller.do(run.refresh)
    caller.do(caller.commit)
    assert caller.do(run.refresh).status == RunStatus.STARTED


def test_the_client_needs_no_connection_of_its_own(caller: Caller, watching: Any) -> None:
    caller.client = caller.client_of("postgresql://nobody@192.0.2.1:1/nothing")
    caller.start(greeting, 1)
    caller.do(caller.commit)
    assert remains(watching)[0] == 1


@pytest.mark.parametrize(
    ("flow", "value", "kind", "message"),
    [
        ("unknown", {}, FlowNotFound, "'unknown' is not in the database"),
        (each, {}, InvalidInput, "pass a JSON array"),
    ],
    ids=["flow", "input"],
)
def test_an_error_is_one_of_this_package_and_the_transaction_has_failed(
    caller: Caller, watching: Any, flow: Any, value: Any, kind: type[Exception], message: str
) -> None:
    caller.do(caller.execute, "insert into orders values (1)")
    with pytest.raises(kind, match=message) as raised:
        caller.start(flow, value)
    assert raised.value.__cause__ is not None
    with pytest.raises(UnusableConnection, match="can't be used"):
        caller.start(greeting, 1)
    caller.do(caller.rollback)
    caller.start(greeting, 1)
    caller.do(caller.commit)
    assert remains(watching)[0] == 1
    assert watching.execute("select count(*) from orders").fetchone() == (0,)


def test_a_run_id_is_used_once(caller: Caller, watching: Any) -> None:
    run = caller.start(greeting, 1)
    with pytest.raises(InvalidInput, match=f"run id {run.run_id} is already in use"):
        caller.start(greeting, 2, run_id=run.run_id)


def test_a_value_that_is_not_json_leaves_the_transaction_alone(caller: Caller, watching: Any) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        caller.start(greeting, "a\0b")
    caller.start(greeting, 1)
    caller.do(caller.commit)
    assert remains(watching)[0] == 1


def test_a_savepoint_keeps_the_transaction_usable(caller: Caller, watching: Any) -> None:
    caller.start(greeting, 1)
    caller.do(caller.execute, "savepoint before")
    with pytest.raises(FlowNotFound):
        caller.start("unknown", 1)
    caller.do(caller.execute, "rollback to savepoint before")
    caller.start(greeting, 2)
    caller.do(caller.commit)
    assert remains(watching)[0] == 2


def test_a_connection_that_is_cut_is_lost(caller: Caller, watching: Any) -> None:
    caller.do(caller.execute, "select 1")
    watching.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and state = 'idle in transaction'"
    )
    with pytest.raises(ConnectionLost):
        caller.start(greeting, 1)
    assert remains(watching)[0] == 0
