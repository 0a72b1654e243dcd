"""`start_ready_steps`: every ready step with tasks starts, and its tasks are announced."""

from __future__ import annotations

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    announced,
    begin,
    complete,
    define,
    event_names,
    events,
    exhaust,
    finish,
    live,
    snapshot,
    start,
    state,
    statuses,
    step,
    task,
    tasks,
)


def start_ready_steps(connection: Connection, run_id: RunId) -> None:
    connection.execute("select pgflow.start_ready_steps(run_id => %s)", (run_id,))


def make_ready(connection: Connection, step_slug: str) -> None:
    """Let a step wait for nothing any more, whatever its parents do."""
    connection.execute("update pgflow.step_states set remaining_deps = 0 where step_slug = %s", (step_slug,))


def test_a_started_step_has_all_its_tasks_left(connection: Connection) -> None:
    define(connection, "a*")
    started = state(connection, start(connection, [1, 2, 3]), "a")
    assert (started["status"], started["initial_tasks"], started["remaining_tasks"]) == ("started", 3, 3)
    assert started["started_at"] == started["created_at"]


@pytest.mark.feature("A5.8")
def test_tasks_are_queued_with_no_attempt_and_count_from_zero(connection: Connection) -> None:
    define(connection, "a*")
    created = tasks(connection, start(connection, [1, 2, 3]))
    assert [(found["task_index"], found["status"], found["attempts_count"]) for found in created] == [
        (0, "queued", 0),
        (1, "queued", 0),
        (2, "queued", 0),
    ]


def test_each_task_knows_its_message(connection: Connection) -> None:
    define(connection, "a*", "b")
    run_id = start(connection, [1, 2])
    assert [found["message_id"] for found in tasks(connection, run_id)] == [
        found["msg_id"] for found in live(connection)
    ]


@pytest.mark.feature("A4.23", "A5.7")
def test_a_message_has_these_four_keys_and_no_headers(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    [message] = live(connection)
    expected = {"flow_slug": "flow", "run_id": str(run_id), "step_slug": "a", "task_index": 0}
    assert (message["message"], message["headers"]) == (expected, None)


def test_messages_are_ordered_by_slug_and_index(connection: Connection) -> None:
    define(connection, "b*", "a", "c*")
    start(connection, [1, 2])
    assert announced(live(connection)) == [("a", 0), ("b", 0), ("b", 1), ("c", 0), ("c", 1)]


@pytest.mark.parametrize(("start_delay", "seconds"), [(None, 0), (0, 0), (90, 90)])
def test_the_start_delay_holds_back_the_message(connection: Connection, start_delay: int | None, seconds: int) -> None:
    define(connection, step("a", start_delay=start_delay))
    start(connection)
    assert live(connection)[0]["seconds"] == pytest.approx(seconds, abs=2)


def test_the_start_delay_holds_back_every_task_of_a_map(connection: Connection) -> None:
    define(connection, step("a*", start_delay=90))
    start(connection, [1, 2, 3])
    assert [found["seconds"] for found in live(connection)] == [pytest.approx(90, abs=2)] * 3


def test_the_start_delay_of_a_dependent_step_counts_from_its_start(connection: Connection) -> None:
    define(connection, "a", step("b < a", start_delay=90))
    run_id = start(connection)
    finish(connection, run_id, "a")
    assert live(connection)[0]["seconds"] == pytest.approx(90, abs=2)


def test_its_event_has_the_counters(recorded: Connection) -> None:
    define(recorded, "a*")
    run_id = start(recorded, [1, 2])
    payload = events(recorded)[1]["payload"]
    assert (payload["event_type"], payload["run_id"], payload["step_slug"]) == ("step:started", str(run_id), "a")
    assert (payload["status"], payload["remaining_tasks"], payload["remaining_deps"]) == ("started", 2, 0)


def test_calling_it_again_changes_nothing(recorded: Connection) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    before = (snapshot(recorded), event_names(recorded))
    start_ready_steps(recorded, run_id)
    assert (snapshot(recorded), event_names(recorded)) == before


def test_between_tasks_of_a_map_nothing_behind_it_starts(connection: Connection) -> None:
    define(connection, "a*", "b < a", "c* < a")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "a")
    complete(connection, run_id, "a", 1)
    start_ready_steps(connection, run_id)
    assert statuses(connection, run_id) == {"a": "started", "b": "created", "c": "created"}
    assert state(connection, run_id, "c")["initial_tasks"] is None


@pytest.mark.breaks_invariants
def test_it_starts_what_was_made_ready_by_hand(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    make_ready(connection, "b")
    start_ready_steps(connection, run_id)
    assert task(connection, run_id, "b")["status"] == "queued"


@pytest.mark.breaks_invariants
def test_it_evaluates_no_condition(connection: Connection) -> None:
    define(connection, "a", step("b < a", required_input_pattern={"never": 1}))
    run_id = start(connection)
    make_ready(connection, "b")
    start_ready_steps(connection, run_id)
    assert state(connection, run_id, "b")["status"] == "started"


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("initial_tasks", [None, 0])
def test_it_leaves_maps_alone_that_have_no_tasks_or_do_not_know_yet(
    connection: Connection, initial_tasks: int | None
) -> None:
    define(connection, "a", "b* < a")
    run_id = start(connection)
    make_ready(connection, "b")
    connection.execute("update pgflow.step_states set initial_tasks = %s where step_slug = 'b'", (initial_tasks,))
    start_ready_steps(connection, run_id)
    assert state(connection, run_id, "b")["status"] == "created"


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("status", ["failed", "completed"])
def test_it_does_nothing_on_a_run_that_has_ended(connection: Connection, status: str) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    make_ready(connection, "b")
    end = f"update pgflow.runs set status = '{status}', {status}_at = now()"
    connection.execute(end)
    start_ready_steps(connection, run_id)
    assert state(connection, run_id, "b")["status"] == "created"


def test_it_does_nothing_after_a_failure(connection: Connection) -> None:
    define(connection, "a", "b < a", max_attempts=1)
    run_id = start(connection)
    exhaust(connection, run_id, "a")
    before = snapshot(connection)
    start_ready_steps(connection, run_id)
    assert snapshot(connection) == before


def test_an_unknown_run_is_no_error(connection: Connection) -> None:
    start_ready_steps(connection, UNKNOWN)
