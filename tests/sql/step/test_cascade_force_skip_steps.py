"""`_cascade_force_skip_steps` skips a step and everything behind it, whatever the states."""

from __future__ import annotations

import time

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    announced,
    archived,
    begin,
    define,
    event_names,
    events,
    finish,
    forget_events,
    live,
    refused,
    run,
    snapshot,
    start,
    state,
    states,
    statuses,
    tasks,
    value,
)


def force_skip(connection: Connection, run_id: RunId, step_slug: str, reason: str = "condition_unmet") -> int:
    query = "select pgflow._cascade_force_skip_steps(run_id => %s, step_slug => %s, skip_reason => %s)"
    count = value(connection, query, run_id, step_slug, reason)
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize(
    ("steps", "named", "count"),
    [
        (("a",), "a", 1),
        (("a", "b < a", "c < b"), "a", 3),
        (("a", "b", "c < a b", "d"), "a", 2),
        (("a", "b < a", "c < a", "d < b c"), "a", 4),
        (("a", "b < a", "c < b"), "c", 1),
        (("a",), "z", 0),
    ],
    ids=["single step", "chain", "join", "diamond", "leaf", "unknown step"],
)
def test_it_returns_how_many_steps_it_skipped(
    connection: Connection, steps: tuple[str, ...], named: str, count: int
) -> None:
    define(connection, *steps)
    assert force_skip(connection, start(connection), named) == count


def test_it_takes_them_off_the_run(connection: Connection) -> None:
    define(connection, "a", "b", "c < a b", "d")
    run_id = start(connection)
    force_skip(connection, run_id, "a")
    assert run(connection, run_id)["remaining_steps"] == 2


def test_the_named_step_has_the_given_reason_and_the_others_that_of_a_dependency(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < b")
    run_id = start(connection)
    force_skip(connection, run_id, "a", "handler_failed")
    reasons = [found["skip_reason"] for found in states(connection, run_id).values()]
    assert reasons == ["handler_failed", "dependency_skipped", "dependency_skipped"]


def test_any_text_is_a_reason(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    force_skip(connection, run_id, "a", "an operator said so")
    assert state(connection, run_id, "a")["skip_reason"] == "an operator said so"


def test_a_started_step_keeps_when_it_started_and_loses_its_remaining_tasks(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2])
    before = state(connection, run_id, "a")
    force_skip(connection, run_id, "a")
    skipped = state(connection, run_id, "a")
    assert (skipped["started_at"], skipped["initial_tasks"]) == (before["started_at"], 2)
    assert (skipped["remaining_tasks"], skipped["skipped_at"] is not None) == (None, True)


def test_a_step_behind_it_keeps_its_remaining_deps(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    force_skip(connection, run_id, "a")
    assert state(connection, run_id, "b")["remaining_deps"] == 1


def test_a_join_is_skipped_though_its_other_parent_runs(connection: Connection) -> None:
    define(connection, "a", "b", "c < a b")
    run_id = start(connection)
    force_skip(connection, run_id, "a")
    assert statuses(connection, run_id) == {"a": "skipped", "b": "started", "c": "skipped"}


def test_a_completed_step_is_left_alone_but_what_is_behind_it_is_skipped(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < b")
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    assert force_skip(connection, run_id, "a") == 2
    assert statuses(connection, run_id) == {"a": "completed", "b": "skipped", "c": "skipped"}


def test_messages_of_the_skipped_steps_are_archived_and_no_others(connection: Connection) -> None:
    define(connection, "a*", "b", "c < a")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "a")
    force_skip(connection, run_id, "a")
    assert (announced(live(connection)), announced(archived(connection))) == ([("b", 0)], [("a", 0), ("a", 1)])


def test_tasks_of_a_skipped_step_keep_their_status(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2])
    before = tasks(connection, run_id)
    force_skip(connection, run_id, "a")
    assert tasks(connection, run_id) == before


def test_the_run_is_not_completed_though_nothing_remains(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    force_skip(connection, run_id, "a")
    assert (run(connection, run_id)["status"], run(connection, run_id)["remaining_steps"]) == ("started", 0)


def test_nothing_is_started(connection: Connection) -> None:
    define(connection, "a", "b < a", "other", "last < other")
    run_id = start(connection)
    force_skip(connection, run_id, "b")
    assert statuses(connection, run_id) == {"a": "started", "b": "skipped", "other": "started", "last": "created"}


def test_a_second_call_changes_nothing(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    force_skip(recorded, run_id, "a")
    forget_events(recorded)
    before = snapshot(recorded)
    assert force_skip(recorded, run_id, "a") == 0
    assert (snapshot(recorded), event_names(recorded)) == (before, [])


def test_events_come_parents_first_whatever_the_slugs(recorded: Connection) -> None:
    define(recorded, "z", "y < z", "x < y", "w < x")
    run_id = start(recorded)
    forget_events(recorded)
    force_skip(recorded, run_id, "z")
    assert event_names(recorded) == [f"step:{slug}:skipped" for slug in "zyxw"]


def test_its_events_have_flow_step_reason_and_time(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    forget_events(recorded)
    force_skip(recorded, run_id, "a")
    payloads = [found["payload"] for found in events(recorded)]
    keys = ("event_type", "run_id", "flow_slug", "step_slug", "status", "skip_reason")
    assert [tuple(payload[key] for key in keys) for payload in payloads] == [
        ("step:skipped", str(run_id), "flow", "a", "skipped", "condition_unmet"),
        ("step:skipped", str(run_id), "flow", "b", "skipped", "dependency_skipped"),
    ]
    assert all(payload["skipped_at"] for payload in payloads)


@pytest.mark.breaks_invariants
def test_messages_of_a_step_that_was_skipped_by_hand_stay(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    connection.execute(
        "update pgflow.step_states set status = 'skipped', skip_reason = 'preexisting_skip', skipped_at = now(), "
        "remaining_tasks = null where step_slug = 'a'"
    )
    assert force_skip(connection, run_id, "a") == 0
    assert announced(live(connection)) == [("a", 0), ("b", 0)]


def test_an_unknown_run_is_refused(connection: Connection) -> None:
    with refused(connection, "P0001", f"Run not found: {UNKNOWN}"):
        force_skip(connection, UNKNOWN, "a")


def test_twenty_stacked_diamonds_take_no_longer_than_their_steps(connection: Connection) -> None:
    diamonds = [
        text
        for index in range(20)
        for text in (f"l{index} < s{index}", f"r{index} < s{index}", f"s{index + 1} < l{index} r{index}")
    ]
    define(connection, "s0", *diamonds)
    run_id = start(connection)
    started_at = time.perf_counter()
    assert force_skip(connection, run_id, "s0") == 61
    assert time.perf_counter() - started_at < 1
