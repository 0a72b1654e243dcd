"""What is sent to subscribers: names, topics, payloads and order."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    begin,
    complete,
    define,
    event_names,
    events,
    exhaust,
    fail,
    finish,
    forget_events,
    record_events,
    refused,
    run,
    start,
    step,
    value,
)

FAIL = {"when_unmet": "fail", "required_input_pattern": {"wanted": True}}
CASCADE = {"when_unmet": "skip-cascade", "required_input_pattern": {"wanted": True}}
SKIP = {"when_unmet": "skip", "required_input_pattern": {"wanted": True}}


def payload(connection: Connection, event: str) -> dict[str, Any]:
    [found] = [found["payload"] for found in events(connection) if found["event"] == event]
    assert isinstance(found, dict)
    return found


def row_as_json(connection: Connection, run_id: UUID, step_slug: str | None = None) -> dict[str, Any]:
    """Return the row of a run, or of one of its steps, as jsonb prints it."""
    if step_slug is None:
        found = value(connection, "select to_jsonb(r) from pgflow.runs r where run_id = %s", run_id)
    else:
        query = "select to_jsonb(ss) from pgflow.step_states ss where run_id = %s and step_slug = %s"
        found = value(connection, query, run_id, step_slug)
    assert isinstance(found, dict)
    return found


def assert_shows(connection: Connection, event: str, event_type: str, row: dict[str, Any], *columns: str) -> None:
    """Check the event's type and that these columns are in it, each with the stored value."""
    sent = payload(connection, event)
    assert sent["event_type"] == event_type
    assert {name: sent[name] for name in columns} == {name: row[name] for name in columns}


def test_without_realtime_a_whole_run_works(connection: Connection) -> None:
    define(connection, "a", "b* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", [])
    assert run(connection, run_id)["status"] == "completed"


def test_events_appear_as_soon_as_realtime_is_installed(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    record_events(connection)
    finish(connection, run_id, "a")
    assert event_names(connection) == ["step:a:completed", "run:completed"]


def test_an_error_of_realtime_is_passed_on(recorded: Connection) -> None:
    define(recorded, "a")
    recorded.execute("alter table realtime.messages add constraint refused check (event <> 'run:started')")
    with refused(recorded, "23514", "refused"):
        start(recorded)


def test_all_events_of_a_run_have_its_topic_and_are_public(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    finish(recorded, run_id, "a")
    finish(recorded, run_id, "b")
    assert {(sent["topic"], sent["private"]) for sent in events(recorded)} == {(f"pgflow:run:{run_id}", False)}


def test_every_payload_has_the_type_and_the_run_and_the_status(recorded: Connection) -> None:
    define(recorded, "a", step("b < a", **SKIP))
    run_id = start(recorded)
    finish(recorded, run_id, "a")
    for sent in events(recorded):
        assert sent["payload"]["run_id"] == str(run_id)
        assert sent["payload"]["event_type"].endswith(f":{sent['payload']['status']}")


def test_run_started_shows_the_run(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded, {"x": [1, None]})
    columns = ("run_id", "flow_slug", "input", "status", "remaining_steps", "started_at")
    assert_shows(recorded, "run:started", "run:started", row_as_json(recorded, run_id), *columns)


def test_run_started_counts_all_steps(recorded: Connection) -> None:
    define(recorded, "a*", "b < a")
    start(recorded, [])
    assert payload(recorded, "run:started")["remaining_steps"] == 2


def test_run_completed_shows_the_output(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    finish(recorded, run_id, "a", {"x": False})
    columns = ("run_id", "flow_slug", "status", "output", "completed_at")
    assert_shows(recorded, "run:completed", "run:completed", row_as_json(recorded, run_id), *columns)


def test_run_failed_shows_the_error(recorded: Connection) -> None:
    define(recorded, "a", max_attempts=1)
    run_id = start(recorded)
    exhaust(recorded, run_id, "a", "out of luck")
    columns = ("run_id", "flow_slug", "status", "failed_at")
    assert_shows(recorded, "run:failed", "run:failed", row_as_json(recorded, run_id), *columns)
    assert payload(recorded, "run:failed")["error_message"] == "out of luck"


def test_step_started_shows_the_counters(recorded: Connection) -> None:
    define(recorded, "m*")
    run_id = start(recorded, [1, 2, 3])
    columns = ("run_id", "step_slug", "status", "started_at", "remaining_tasks", "remaining_deps")
    assert_shows(recorded, "step:m:started", "step:started", row_as_json(recorded, run_id, "m"), *columns)
    assert payload(recorded, "step:m:started")["remaining_tasks"] == 3


def test_step_completed_shows_the_output(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    finish(recorded, run_id, "a", "done")
    columns = ("run_id", "step_slug", "status", "output", "completed_at")
    assert_shows(recorded, "step:a:completed", "step:completed", row_as_json(recorded, run_id, "a"), *columns)


def test_the_output_of_a_map_in_the_event_is_the_stored_array(recorded: Connection) -> None:
    define(recorded, "m*")
    run_id = start(recorded, [1, 2])
    begin(recorded, run_id, "m")
    complete(recorded, run_id, "m", "second", 1)
    complete(recorded, run_id, "m", "first", 0)
    assert payload(recorded, "step:m:completed")["output"] == ["first", "second"]


def test_step_completed_without_tasks_shows_the_counters_too(recorded: Connection) -> None:
    define(recorded, "m*")
    run_id = start(recorded, [])
    columns = (
        "run_id",
        "step_slug",
        "status",
        "output",
        "started_at",
        "completed_at",
        "remaining_tasks",
        "remaining_deps",
    )
    assert_shows(recorded, "step:m:completed", "step:completed", row_as_json(recorded, run_id, "m"), *columns)
    sent = payload(recorded, "step:m:completed")
    assert (sent["remaining_tasks"], sent["remaining_deps"], sent["output"]) == (0, 0, [])


def test_step_failed_shows_the_error(recorded: Connection) -> None:
    define(recorded, "a", max_attempts=1)
    run_id = start(recorded)
    exhaust(recorded, run_id, "a", "out of luck")
    columns = ("run_id", "step_slug", "status", "error_message", "failed_at")
    assert_shows(recorded, "step:a:failed", "step:failed", row_as_json(recorded, run_id, "a"), *columns)


@pytest.mark.parametrize("mode", [SKIP, CASCADE])
def test_step_skipped_by_a_condition_shows_the_reason(recorded: Connection, mode: dict[str, object]) -> None:
    define(recorded, step("a", **mode), "b")
    run_id = start(recorded)
    columns = ("run_id", "flow_slug", "step_slug", "status", "skip_reason", "skipped_at")
    assert_shows(recorded, "step:a:skipped", "step:skipped", row_as_json(recorded, run_id, "a"), *columns)


@pytest.mark.parametrize("mode", ["skip", "skip-cascade"])
def test_step_skipped_by_a_handler_shows_the_error_too(recorded: Connection, mode: str) -> None:
    define(recorded, step("a", when_exhausted=mode, max_attempts=1), "b")
    run_id = start(recorded)
    exhaust(recorded, run_id, "a")
    columns = ("run_id", "flow_slug", "step_slug", "status", "skip_reason", "error_message", "skipped_at")
    assert_shows(recorded, "step:a:skipped", "step:skipped", row_as_json(recorded, run_id, "a"), *columns)


def test_a_start_tells_of_the_run_before_its_steps(recorded: Connection) -> None:
    define(recorded, "a", step("b", **SKIP), "c* < b", "d < c")
    start(recorded)
    names = event_names(recorded)
    assert names[:3] == ["run:started", "step:b:skipped", "step:c:completed"]
    assert sorted(names[3:]) == ["step:a:started", "step:d:started"]


def test_a_start_that_fails_tells_of_the_step_and_then_the_run_and_nothing_else(recorded: Connection) -> None:
    define(recorded, "a", step("b", **FAIL))
    start(recorded)
    assert event_names(recorded) == ["run:started", "step:b:failed", "run:failed"]
    assert {sent["payload"].get("error_message") for sent in events(recorded)[1:]} == {"Condition not met"}


def test_steps_without_tasks_complete_parents_first(recorded: Connection) -> None:
    define(recorded, "z*", "m* < z", "a* < m")
    start(recorded, [])
    names = ["run:started", "step:z:completed", "step:m:completed", "step:a:completed", "run:completed"]
    assert event_names(recorded) == names


def test_a_completion_tells_of_its_own_step_first(recorded: Connection) -> None:
    define(recorded, "z", "m* < z", "n < m", step("a < z", **SKIP))
    run_id = start(recorded)
    begin(recorded, run_id, "z")
    forget_events(recorded)
    complete(recorded, run_id, "z", [])
    names = ["step:z:completed", "step:a:skipped", "step:m:completed", "step:n:started"]
    assert event_names(recorded) == names


def test_the_last_completion_ends_with_the_run(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    finish(recorded, run_id, "a")
    assert event_names(recorded) == ["run:started", "step:a:started", "step:a:completed", "run:completed"]


def test_a_forced_cascade_tells_of_parents_before_children(recorded: Connection) -> None:
    define(recorded, step("z", **CASCADE), "m < z", "a < m")
    start(recorded)
    names = ["run:started", "step:z:skipped", "step:m:skipped", "step:a:skipped", "run:completed"]
    assert event_names(recorded) == names


def test_nothing_is_sent_for_starting_or_retrying_a_task_nor_for_one_task_of_a_map(recorded: Connection) -> None:
    define(recorded, "m*")
    run_id = start(recorded, [1, 2])
    forget_events(recorded)
    begin(recorded, run_id, "m")
    complete(recorded, run_id, "m", 1, 0)
    fail(recorded, run_id, "m", "again", 1)
    assert event_names(recorded) == []


@pytest.mark.parametrize("report", [complete, fail])
def test_nothing_is_sent_for_a_repeated_report(recorded: Connection, report: Any) -> None:
    define(recorded, "a", "b")
    run_id = start(recorded)
    finish(recorded, run_id, "a", 1)
    forget_events(recorded)
    report(recorded, run_id, "a", "late")
    assert event_names(recorded) == []
