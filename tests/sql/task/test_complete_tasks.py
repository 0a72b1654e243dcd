"""Reporting completed tasks in batches, each with the attempt it belongs to."""

from __future__ import annotations

import pytest

from sql.engine import (
    JSON_NULL,
    UNKNOWN,
    Connection,
    RunId,
    announced,
    archived,
    begin,
    claim,
    complete_batch,
    define,
    event_names,
    exhaust,
    fail,
    forget_events,
    live,
    run,
    snapshot,
    start,
    state,
    statuses,
    task,
    tasks,
    value,
)


@pytest.fixture
def working(connection: Connection) -> RunId:
    """A run whose map `m` has three started tasks, with a step `a` behind it."""
    define(connection, "m*", "a < m", base_delay=0)
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "m")
    return run_id


def begin_again(connection: Connection, run_id: RunId, step_slug: str, index: int = 0) -> None:
    """Let a task fail and start it once more."""
    fail(connection, run_id, step_slug, index=index)
    begin(connection, run_id, step_slug)


def test_all_tasks_of_a_map_complete_in_one_batch(connection: Connection, working: RunId) -> None:
    reports = [(working, "m", index, f"#{index}", 1) for index in (2, 0, 1)]
    assert complete_batch(connection, *reports) == [1, 2, 3]
    assert state(connection, working, "m")["output"] == ["#0", "#1", "#2"]
    assert statuses(connection, working) == {"m": "completed", "a": "started"}


def test_falsy_outputs_are_kept(connection: Connection, working: RunId) -> None:
    complete_batch(connection, (working, "m", 0, False, 1), (working, "m", 1, None, 1), (working, "m", 2, JSON_NULL, 1))
    assert [found["output"] for found in tasks(connection, working, "m")] == [False, None, JSON_NULL]
    assert state(connection, working, "m")["output"] == [False, None, None]


def test_part_of_a_map_counts_down_and_goes_on(connection: Connection, working: RunId) -> None:
    assert complete_batch(connection, (working, "m", 0, 1, 1), (working, "m", 2, 1, 1)) == [1, 2]
    mapped = state(connection, working, "m")
    assert (mapped["status"], mapped["remaining_tasks"], mapped["output"]) == ("started", 1, None)
    assert announced(live(connection)) == [("m", 1)]


def test_an_empty_batch_does_nothing(connection: Connection, working: RunId) -> None:
    before = snapshot(connection)
    assert complete_batch(connection) == []
    assert snapshot(connection) == before


def test_the_first_of_two_reports_of_a_task_counts(connection: Connection, working: RunId) -> None:
    assert complete_batch(connection, (working, "m", 0, "first", 1), (working, "m", 0, "second", 1)) == [1]
    assert task(connection, working, "m")["output"] == "first"
    assert state(connection, working, "m")["remaining_tasks"] == 2


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_a_report_of_another_attempt_changes_nothing(connection: Connection, working: RunId, attempt: int) -> None:
    begin_again(connection, working, "m")
    before = snapshot(connection)
    assert complete_batch(connection, (working, "m", 0, "late", attempt)) == []
    assert snapshot(connection) == before


def test_a_report_of_the_present_attempt_counts(connection: Connection, working: RunId) -> None:
    begin_again(connection, working, "m")
    assert complete_batch(connection, (working, "m", 0, "in time", 2)) == [1]


def test_a_report_without_attempt_counts_whatever_attempt_it_is(connection: Connection, working: RunId) -> None:
    begin_again(connection, working, "m")
    assert complete_batch(connection, (working, "m", 0, "in time", None)) == [1]


def test_without_any_attempts_all_reports_count(connection: Connection, working: RunId) -> None:
    query = "select pgflow.complete_tasks(array[%s]::uuid[], '{m}', '{0}', array['1'::jsonb], null)"
    assert value(connection, query, working) == [1]


def test_reports_that_do_not_count_are_left_out(connection: Connection, working: RunId) -> None:
    counted = complete_batch(
        connection,
        (working, "m", 0, 1, 9),
        (working, "m", 1, 1, 1),
        (working, "a", 0, 1, 1),
        (working, "m", 7, 1, 1),
        (UNKNOWN, "m", 0, 1, 1),
        (working, "m", 2, 1, 1),
    )
    assert counted == [2, 6]


def test_a_queued_task_of_a_batch_stays_queued(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    begin(connection, run_id, "a")
    assert complete_batch(connection, (run_id, "b", 0, 1, 0), (run_id, "a", 0, 1, 1)) == [2]
    assert announced(live(connection)) == [("b", 0)]


def test_several_runs_move_in_one_batch(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_ids = [start(recorded) for _ in range(3)]
    for run_id in run_ids:
        begin(recorded, run_id, "a")
    complete_batch(recorded, *((run_id, "a", 0, str(run_id), 1) for run_id in run_ids))
    assert {run_id: begin(recorded, run_id, "b")[0]["input"] for run_id in run_ids} == {
        run_id: {"a": str(run_id)} for run_id in run_ids
    }
    assert event_names(recorded).count("step:a:completed") == 3


def test_two_parents_of_a_step_complete_in_one_batch(connection: Connection) -> None:
    define(connection, "a", "b", "c < a b")
    run_id = start(connection)
    claim(connection)
    assert complete_batch(connection, (run_id, "a", 0, 1, 1), (run_id, "b", 0, 2, 1)) == [1, 2]
    assert [found["input"] for found in begin(connection, run_id, "c")] == [{"a": 1, "b": 2}]


def test_the_last_tasks_of_several_flows_complete_their_runs(connection: Connection) -> None:
    define(connection, "a", flow="one")
    define(connection, "a", flow="two")
    first, second = start(connection, flow="one"), start(connection, flow="two")
    begin(connection, first, "a")
    begin(connection, second, "a")
    assert complete_batch(connection, (second, "a", 0, 2, 1), (first, "a", 0, 1, 1)) == [1, 2]
    assert [run(connection, run_id)["output"] for run_id in (first, second)] == [{"a": 1}, {"a": 2}]
    assert (len(archived(connection, "one")), len(archived(connection, "two"))) == (1, 1)


def test_reports_of_a_failed_run_do_not_stop_the_others(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    failed, going_on = start(connection), start(connection)
    for run_id in (failed, going_on):
        begin(connection, run_id, "a")
    exhaust(connection, failed, "b")
    assert complete_batch(connection, (failed, "a", 0, 1, 1), (going_on, "a", 0, 1, 1)) == [2]
    assert task(connection, failed, "a")["status"] == "started"


# Violations


@pytest.fixture
def violating(recorded: Connection) -> list[RunId]:
    """Three runs whose steps `a`, with a map behind it, and `b` have started."""
    define(recorded, "a", "m* < a", "b")
    run_ids: list[RunId] = [start(recorded) for _ in range(3)]
    claim(recorded)
    forget_events(recorded)
    return run_ids


def test_a_violating_output_fails_its_run_and_no_other(recorded: Connection, violating: list[RunId]) -> None:
    good, bad, another = violating
    reports = [(good, "a", 0, [1], 1), (bad, "a", 0, {}, 1), (another, "a", 0, [], 1), (another, "b", 0, {}, 1)]
    assert complete_batch(recorded, *reports) == [1, 2, 3, 4]
    assert [run(recorded, run_id)["status"] for run_id in violating] == ["started", "failed", "completed"]
    assert statuses(recorded, bad) == {"a": "failed", "m": "created", "b": "started"}
    assert statuses(recorded, good) == {"a": "completed", "m": "started", "b": "started"}


def test_other_reports_of_the_violating_run_find_it_failed(recorded: Connection, violating: list[RunId]) -> None:
    [bad, *_] = violating
    assert complete_batch(recorded, (bad, "b", 0, 1, 1), (bad, "a", 0, {}, 1)) == [2]
    assert task(recorded, bad, "b")["status"] == "started"
    assert event_names(recorded) == ["step:a:failed", "run:failed"]


def test_each_violating_run_fails_once(recorded: Connection, violating: list[RunId]) -> None:
    assert complete_batch(recorded, *((run_id, "a", 0, "x", 1) for run_id in violating)) == [1, 2, 3]
    assert sorted(event_names(recorded)) == ["run:failed"] * 3 + ["step:a:failed"] * 3
    assert live(recorded) == []


def test_two_violations_of_a_run_fail_it_by_the_first(recorded: Connection) -> None:
    define(recorded, "a", "m* < a", "b", "n* < b")
    run_id = start(recorded)
    claim(recorded)
    assert complete_batch(recorded, (run_id, "b", 0, {}, 1), (run_id, "a", 0, {}, 1)) == [1]
    assert statuses(recorded, run_id) == {"a": "started", "m": "created", "b": "failed", "n": "created"}
    assert event_names(recorded).count("run:failed") == 1


def test_a_violation_of_another_attempt_changes_nothing(recorded: Connection, violating: list[RunId]) -> None:
    before = snapshot(recorded)
    assert complete_batch(recorded, (violating[0], "a", 0, {}, 2)) == []
    assert snapshot(recorded) == before


def test_a_violating_repetition_of_a_good_report_is_ignored(recorded: Connection, violating: list[RunId]) -> None:
    [good, *_] = violating
    assert complete_batch(recorded, (good, "a", 0, [1], 1), (good, "a", 0, {}, 1)) == [1]
    assert statuses(recorded, good)["a"] == "completed"


def test_a_good_repetition_of_a_violating_report_is_ignored(recorded: Connection, violating: list[RunId]) -> None:
    [bad, *_] = violating
    assert complete_batch(recorded, (bad, "a", 0, {}, 1), (bad, "a", 0, [1], 1)) == [1]
    assert run(recorded, bad)["status"] == "failed"
