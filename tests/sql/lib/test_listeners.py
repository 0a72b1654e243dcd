"""NOTIFY is for those who asked: it takes a lock at commit that all such commits wait for, so nobody pays unasked."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from pgflow.listening.watcher import digest
from sql.engine import (
    FLOW,
    Connection,
    begin,
    complete,
    connect,
    define,
    fail,
    finish,
    refused,
    rows,
    start,
    step,
)
from sql.sessions import DEADLINE_SECONDS

LOOK_YOURSELF = ("pgflow_runs", "")
END = "end"


@pytest.fixture
def working(database_url: str) -> Iterator[Connection]:
    """A session in which flows run, each call in a transaction of its own."""
    with connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def listening(database_url: str) -> Iterator[Connection]:
    """A session that listens on both channels; registering is up to the test."""
    with connect(database_url, autocommit=True) as connection:
        connection.execute("listen pgflow_runs")
        connection.execute("listen pgflow_tasks")
        yield connection


def runs_of(*run_ids: object) -> tuple[str, str]:
    return ("pgflow_runs", ",".join(sorted(digest(UUID(str(run_id))) for run_id in run_ids)))


def tasks_of(flow: str = FLOW) -> tuple[str, str]:
    return ("pgflow_tasks", flow)


def ask_for(connection: Connection, *topics: str, seconds: int = 60, listener: UUID | None = None) -> UUID:
    """Register a listener for topics and return its id."""
    listener = listener or uuid4()
    for topic in topics:
        connection.execute("select pgflow.register_listener(%s, %s, %s)", (listener, topic, seconds))
    return listener


def received(listening: Connection, working: Connection) -> list[tuple[str, str]]:
    """Return channel and payload of what was sent so far, sorted; sends a last notification to know the end."""
    working.execute("select pg_notify('pgflow_runs', %s)", (END,))
    found: list[tuple[str, str]] = []
    for notification in listening.notifies(timeout=DEADLINE_SECONDS):
        if notification.payload == END:
            return sorted(found)
        found.append((notification.channel, ",".join(sorted(notification.payload.split(",")))))
    raise AssertionError(f"the last notification did not arrive within {DEADLINE_SECONDS} s")


def expiries(connection: Connection) -> list[float]:
    """Return in how many seconds each registration expires."""
    query = (
        "select extract(epoch from expires_at - clock_timestamp())::float as seconds from pgflow.listeners order by 1"
    )
    return [found["seconds"] for found in rows(connection, query)]


# While nobody asks


def test_nothing_is_sent_while_nobody_is_registered(working: Connection, listening: Connection) -> None:
    define(working, step("a", max_attempts=2), "b < a", step("c", required_input_pattern={"x": 1}))
    run_id = start(working)
    begin(working, run_id, "a")
    fail(working, run_id, "a")
    finish(working, run_id, "a")
    finish(working, run_id, "b")
    assert received(listening, working) == []


def test_nothing_is_sent_after_a_registration_has_expired(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs", "tasks", seconds=0)
    start(working)
    assert received(listening, working) == []


def test_nothing_is_sent_after_the_last_one_has_left(working: Connection, listening: Connection) -> None:
    define(working, "a")
    working.execute("select pgflow.unregister_listener(%s)", (ask_for(working, "runs", "tasks"),))
    start(working)
    assert received(listening, working) == []


def test_nothing_is_sent_by_a_transaction_that_is_rolled_back(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs", "tasks")
    with working.transaction(force_rollback=True):
        start(working)
    assert received(listening, working) == []


# Once somebody asks


def test_starting_a_run_tells_of_the_run_and_of_its_tasks(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs", "tasks")
    run_id = start(working)
    assert received(listening, working) == [runs_of(run_id), tasks_of()]


@pytest.mark.parametrize(
    "start",
    [
        "start_flow('flow', '[]')",
        "start_flows('flow', array['[]']::jsonb[])",
        "start_flows('flow', array['[]']::jsonb[], p_delay => 60)",
        "start_runs('flow', array['[]']::jsonb[], array['key'], array['tag'])",
    ],
)
def test_whatever_a_start_does_it_tells_of_its_run_once(working: Connection, listening: Connection, start: str) -> None:
    """Who waits for a run that he started himself counts on it, and takes the first that is told for the start."""
    define(working, "a*", "b < a", step("c", required_input_pattern={"x": 1}, when_unmet="skip"), "d < b")
    ask_for(working, "runs")
    [run] = rows(working, f"select run_id from pgflow.{start}")
    assert received(listening, working) == [runs_of(run["run_id"])]


@pytest.mark.parametrize("topic", ["runs", "tasks"])
def test_only_what_was_asked_for_is_sent(working: Connection, listening: Connection, topic: str) -> None:
    define(working, "a")
    ask_for(working, topic)
    start(working)
    assert [channel for channel, _ in received(listening, working)] == [f"pgflow_{topic}"]


def test_a_batch_is_told_once(working: Connection, listening: Connection) -> None:
    define(working, "a", "b", "c*")
    ask_for(working, "runs", "tasks")
    run_ids = start_many(working, 50)
    assert received(listening, working) == [runs_of(*run_ids), tasks_of()]


@pytest.mark.parametrize(("count", "named"), [(800, True), (801, False)])
def test_more_runs_than_a_payload_holds_are_not_named(
    working: Connection, listening: Connection, count: int, named: bool
) -> None:
    define(working, "a")
    ask_for(working, "runs")
    run_ids = start_many(working, count)
    assert received(listening, working) == [runs_of(*run_ids) if named else LOOK_YOURSELF]


def start_many(connection: Connection, count: int) -> list[object]:
    query = "select run_id from pgflow.start_flows('flow', array_fill('[1, 2, 3]'::jsonb, array[%s::int]))"
    return [found["run_id"] for found in rows(connection, query, count)]


def test_a_transaction_tells_of_a_run_once(working: Connection, listening: Connection) -> None:
    define(working, "a", "b < a")
    ask_for(working, "runs", "tasks")
    with working.transaction():
        run_id = start(working)
        finish(working, run_id, "a")
        finish(working, run_id, "b")
    assert received(listening, working) == [runs_of(run_id), tasks_of()]


def test_each_transaction_is_told(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs", "tasks")
    run_ids = start(working), start(working)
    assert received(listening, working) == [*sorted(map(runs_of, run_ids)), tasks_of(), tasks_of()]


def test_each_flow_that_got_tasks_is_named_once(working: Connection, listening: Connection) -> None:
    for flow in ("one", "two"):
        define(working, "a", flow=flow)
    ask_for(working, "runs", "tasks")
    with working.transaction():
        run_ids = [start(working, flow=flow) for flow in ("one", "two", "one")]
    assert received(listening, working) == [*sorted(map(runs_of, run_ids)), tasks_of("one"), tasks_of("two")]


def test_the_end_of_a_run_is_told_and_gives_no_tasks(working: Connection, listening: Connection) -> None:
    define(working, "a")
    run_id = start(working)
    begin(working, run_id, "a")
    ask_for(working, "runs", "tasks")
    complete(working, run_id, "a")
    assert received(listening, working) == [runs_of(run_id)]


def test_a_failed_run_is_told(working: Connection, listening: Connection) -> None:
    define(working, "a", max_attempts=1)
    run_id = start(working)
    begin(working, run_id, "a")
    ask_for(working, "runs", "tasks")
    fail(working, run_id, "a")
    assert received(listening, working) == [runs_of(run_id)]


@pytest.mark.parametrize("mode", ["fail", "skip", "skip-cascade"])
def test_an_unmet_condition_is_told(working: Connection, listening: Connection, mode: str) -> None:
    define(working, "a", step("b", required_input_pattern={"x": 1}, when_unmet=mode))
    ask_for(working, "runs")
    run_id = start(working)
    assert received(listening, working) == [runs_of(run_id)]


def test_a_skipped_step_is_told(working: Connection, listening: Connection) -> None:
    define(working, step("a", max_attempts=1, when_exhausted="skip"), "b")
    run_id = start(working)
    begin(working, run_id, "a")
    ask_for(working, "runs")
    fail(working, run_id, "a")
    assert received(listening, working) == [runs_of(run_id)]


@pytest.mark.parametrize(
    "call",
    [
        "start_ready_steps(%s)",
        "maybe_complete_run(%s)",
        "cascade_resolve_conditions(%s)",
        "cascade_complete_taskless_steps(%s)",
        "_cascade_force_skip_steps(%s, 'b', 'condition_unmet')",
    ],
    ids=lambda call: call.partition("(")[0],
)
def test_the_singular_functions_tell_too(working: Connection, listening: Connection, call: str) -> None:
    define(working, "a", "b < a")
    run_id = start(working)
    ask_for(working, "runs")
    working.execute(f"select pgflow.{call}", (run_id,))
    assert received(listening, working) == [runs_of(run_id)]


def test_deleting_a_flow_is_told(working: Connection, listening: Connection) -> None:
    define(working, "a")
    start(working)
    ask_for(working, "runs")
    working.execute("select pgflow.delete_flow_and_data('flow')")
    assert received(listening, working) == [LOOK_YOURSELF]


def test_a_step_that_starts_its_children_tells_of_their_tasks(working: Connection, listening: Connection) -> None:
    define(working, "a", "b < a")
    run_id = start(working)
    begin(working, run_id, "a")
    ask_for(working, "tasks")
    complete(working, run_id, "a")
    assert received(listening, working) == [tasks_of()]


def test_what_changes_no_run_and_no_step_is_not_told(working: Connection, listening: Connection) -> None:
    define(working, "m*")
    run_id = start(working, [1, 2])
    begin(working, run_id, "m")
    ask_for(working, "runs", "tasks")
    complete(working, run_id, "m", "x", 0)
    assert received(listening, working) == []
    fail(working, run_id, "m", index=1)
    assert received(listening, working) == [tasks_of()]  # when it comes again is worth knowing


def test_delaying_a_run_tells_of_its_tasks(working: Connection, listening: Connection) -> None:
    define(working, "a")
    run_id = start(working)
    ask_for(working, "runs", "tasks")
    working.execute("select pgflow.delay_run('flow', %s, 60)", (run_id,))
    assert received(listening, working) == [tasks_of()]


def test_a_payload_has_no_data_of_a_run(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs", "tasks")
    run_id = start(working, "x" * 10_000)
    assert received(listening, working) == [runs_of(run_id), tasks_of()]


# Registering


def test_one_of_two_listeners_is_enough(working: Connection, listening: Connection) -> None:
    define(working, "a")
    ask_for(working, "runs")
    working.execute("select pgflow.unregister_listener(%s)", (ask_for(working, "runs", "tasks"),))
    run_id = start(working)
    assert received(listening, working) == [runs_of(run_id)]


def test_a_registration_lasts_a_minute_unless_told_otherwise(connection: Connection) -> None:
    connection.execute("select pgflow.register_listener(%s, 'runs')", (uuid4(),))
    assert expiries(connection) == [pytest.approx(60, abs=2)]


def test_registering_again_prolongs(connection: Connection) -> None:
    ask_for(connection, "runs", seconds=300, listener=ask_for(connection, "runs", seconds=5))
    assert expiries(connection) == [pytest.approx(300, abs=2)]


def test_an_unknown_topic_is_refused(connection: Connection) -> None:
    with refused(connection, "23514", "listeners_topic_is_valid"):
        ask_for(connection, "steps")


def test_leaving_without_being_registered_does_not_matter(connection: Connection) -> None:
    other = ask_for(connection, "runs")
    connection.execute("select pgflow.unregister_listener(%s)", (uuid4(),))
    assert [found["listener_id"] for found in rows(connection, "select listener_id from pgflow.listeners")] == [other]


def test_registrations_that_expired_a_minute_ago_are_cleared_by_the_next(connection: Connection) -> None:
    ask_for(connection, "runs", seconds=-61)
    recent = ask_for(connection, "runs", seconds=-50)
    new = ask_for(connection, "tasks")
    assert {found["listener_id"] for found in rows(connection, "select listener_id from pgflow.listeners")} == {
        recent,
        new,
    }
