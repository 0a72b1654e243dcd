"""`fail_tasks` reports a batch: several runs, several verdicts, repeated and late reports."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    announced,
    archived,
    begin,
    complete,
    define,
    event_names,
    exhaust,
    fail,
    fail_batch,
    forget_events,
    live,
    run,
    start,
    state,
    statuses,
    step,
    task,
    tasks,
)


def begin_run(connection: Connection, *step_slugs: str, flow: str = "flow", run_input: object = None) -> UUID:
    """Start a run and the tasks of some of its steps."""
    run_id = start(connection, run_input or {}, flow)
    for step_slug in step_slugs:
        begin(connection, run_id, step_slug)
    return run_id


def test_an_empty_batch_records_nothing(connection: Connection) -> None:
    assert fail_batch(connection) == []


def test_the_positions_of_what_was_recorded_are_returned(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = begin_run(connection, "a")
    reports = [(run_id, "b", 0, "queued", None), (UNKNOWN, "a", 0, "x", None), (run_id, "a", 0, "boom", None)]
    assert fail_batch(connection, *reports) == [3]


def test_each_task_gets_its_own_error(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = begin_run(connection, "a", "b")
    fail_batch(connection, (run_id, "b", 0, "error of b", 1), (run_id, "a", 0, "error of a", 1))
    assert [found["error_message"] for found in tasks(connection, run_id)] == ["error of a", "error of b"]


def test_each_task_gets_its_own_retry_delay(connection: Connection) -> None:
    define(connection, step("a", base_delay=10), step("b", base_delay=100))
    run_id = begin_run(connection, "a", "b")
    fail_batch(connection, (run_id, "a", 0, "boom", 1), (run_id, "b", 0, "boom", 1))
    assert [found["seconds"] for found in live(connection)] == [pytest.approx(20, abs=2), pytest.approx(200, abs=2)]


def test_runs_of_several_flows_can_be_in_one_batch(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    define(connection, "a", flow="other", base_delay=100)
    failing, retried = begin_run(connection, "a"), begin_run(connection, "a", flow="other")
    fail_batch(connection, (failing, "a", 0, "boom", 1), (retried, "a", 0, "boom", 1))
    assert [run(connection, run_id)["status"] for run_id in (failing, retried)] == ["failed", "started"]
    assert live(connection, "other")[0]["seconds"] == pytest.approx(200, abs=2)


def test_every_verdict_can_be_in_one_batch(connection: Connection) -> None:
    define(connection, step("a", max_attempts=1), "b < a", flow="failing")
    define(connection, step("a", max_attempts=1, when_exhausted="skip"), "b < a", flow="skipping")
    define(connection, step("a", max_attempts=1, when_exhausted="skip-cascade"), "b < a", flow="cascading")
    define(connection, "a", "b < a", flow="retrying")
    run_ids = [begin_run(connection, "a", flow=f) for f in ("failing", "skipping", "cascading", "retrying")]
    fail_batch(connection, *((run_id, "a", 0, "boom", 1) for run_id in run_ids))
    assert [statuses(connection, run_id) for run_id in run_ids] == [
        {"a": "failed", "b": "created"},
        {"a": "skipped", "b": "started"},
        {"a": "skipped", "b": "skipped"},
        {"a": "started", "b": "created"},
    ]


def test_two_tasks_of_one_map_are_retried_together(connection: Connection) -> None:
    define(connection, "a*")
    run_id = begin_run(connection, "a", run_input=[1, 2, 3])
    assert fail_batch(connection, (run_id, "a", 2, "boom", 1), (run_id, "a", 0, "boom", 1)) == [1, 2]
    assert [found["status"] for found in tasks(connection, run_id)] == ["queued", "started", "queued"]


def test_of_repeated_reports_the_first_counts(connection: Connection) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    assert fail_batch(connection, (run_id, "a", 0, "first", 1), (run_id, "a", 0, "second", 1)) == [1]
    assert task(connection, run_id, "a")["error_message"] == "first"


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_a_report_for_another_attempt_changes_nothing(connection: Connection, attempt: int) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    fail(connection, run_id, "a")
    begin(connection, run_id, "a")
    before = task(connection, run_id, "a")
    assert fail_batch(connection, (run_id, "a", 0, "late", attempt)) == []
    assert task(connection, run_id, "a") == before


@pytest.mark.parametrize("attempt", [2, None])
def test_a_report_for_this_attempt_or_for_any_counts(connection: Connection, attempt: int | None) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    fail(connection, run_id, "a")
    begin(connection, run_id, "a")
    assert fail_batch(connection, (run_id, "a", 0, "late", attempt)) == [1]


def test_a_late_report_for_another_attempt_leaves_the_message_in_the_queue(connection: Connection) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    fail_batch(connection, (run_id, "a", 0, "late", 7))
    assert (announced(live(connection)), archived(connection)) == ([("a", 0)], [])


def test_two_exhausted_steps_fail_a_run_once(recorded: Connection) -> None:
    define(recorded, "a", "b", max_attempts=1)
    run_id = begin_run(recorded, "a", "b")
    forget_events(recorded)
    fail_batch(recorded, (run_id, "b", 0, "error of b", 1), (run_id, "a", 0, "error of a", 1))
    assert statuses(recorded, run_id) == {"a": "started", "b": "failed"}
    assert event_names(recorded) == ["step:b:failed", "run:failed"]


def test_the_other_task_of_a_run_that_a_batch_fails_is_failed_too(connection: Connection) -> None:
    define(connection, step("a", max_attempts=1), step("b", max_attempts=3))
    run_id = begin_run(connection, "a", "b")
    assert fail_batch(connection, (run_id, "b", 0, "error of b", 1), (run_id, "a", 0, "error of a", 1)) == [1, 2]
    assert [found["status"] for found in tasks(connection, run_id)] == ["failed", "failed"]


def test_failing_the_run_counts_before_skipping_a_step(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), "b", max_attempts=1)
    run_id = begin_run(connection, "a", "b")
    fail_batch(connection, (run_id, "a", 0, "boom", 1), (run_id, "b", 0, "boom", 1))
    assert statuses(connection, run_id) == {"a": "started", "b": "failed"}


def test_two_exhausted_tasks_of_a_map_skip_it_once(recorded: Connection) -> None:
    define(recorded, step("a*", when_exhausted="skip"), "b < a", max_attempts=1)
    run_id = begin_run(recorded, "a", run_input=[1, 2, 3])
    forget_events(recorded)
    fail_batch(recorded, (run_id, "a", 0, "first", 1), (run_id, "a", 2, "second", 1))
    assert state(recorded, run_id, "a")["error_message"] == "first"
    assert event_names(recorded) == ["step:a:skipped", "step:b:started"]


def test_a_join_behind_two_skipped_steps_starts_once(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), step("b", when_exhausted="skip"), "c < a b", max_attempts=1)
    run_id = begin_run(connection, "a", "b")
    fail_batch(connection, (run_id, "a", 0, "boom", 1), (run_id, "b", 0, "boom", 1))
    joined = state(connection, run_id, "c")
    assert (joined["status"], joined["remaining_deps"]) == ("started", 0)


def test_a_join_behind_a_plain_skip_and_a_cascade_is_skipped(connection: Connection) -> None:
    skipping = step("a", when_exhausted="skip")
    cascading = step("b", when_exhausted="skip-cascade")
    define(connection, skipping, cascading, "c < a b", max_attempts=1)
    run_id = begin_run(connection, "a", "b")
    fail_batch(connection, (run_id, "a", 0, "boom", 1), (run_id, "b", 0, "boom", 1))
    assert statuses(connection, run_id) == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert run(connection, run_id)["status"] == "completed"


def test_late_reports_in_a_batch_do_not_disturb_the_others(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    failed, completed, running = (begin_run(connection, "a") for _ in range(3))
    exhaust(connection, failed, "a")
    complete(connection, completed, "a", 1)
    reports = [(run_id, "a", 0, "late", 1) for run_id in (failed, completed, running)]
    assert fail_batch(connection, *reports) == [3]
    assert [run(connection, run_id)["status"] for run_id in (failed, completed, running)] == [
        "failed",
        "completed",
        "failed",
    ]


def test_a_batch_of_many_runs_moves_each_of_them(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), "b < a", max_attempts=1)
    run_ids = [begin_run(connection, "a") for _ in range(20)]
    fail_batch(connection, *((run_id, "a", 0, "boom", 1) for run_id in run_ids))
    assert {state(connection, run_id, "b")["status"] for run_id in run_ids} == {"started"}
    assert announced(live(connection)) == [("b", 0)] * 20
