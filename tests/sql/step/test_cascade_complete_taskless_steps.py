"""Steps without tasks complete by themselves, wave after wave, within the call that makes them ready."""

from __future__ import annotations

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    begin,
    define,
    event_names,
    events,
    exhaust,
    finish,
    refused,
    rows,
    run,
    snapshot,
    start,
    start_run,
    state,
    states,
    statuses,
    step,
    tasks,
    value,
)

LIMIT_TEXT = "Cascade loop exceeded safety limit of 50 iterations"


def define_chain(connection: Connection, length: int) -> None:
    """A flow of so many maps, each over the one before."""
    define(connection, "m0*", *(f"m{index}* < m{index - 1}" for index in range(1, length)))


def cascade(connection: Connection, run_id: RunId) -> int:
    count = value(connection, "select pgflow.cascade_complete_taskless_steps(run_id => %s)", run_id)
    assert isinstance(count, int)
    return count


def make_taskless(connection: Connection, *step_slugs: str) -> None:
    """Let steps wait for nothing any more, and have no tasks."""
    query = "update pgflow.step_states set remaining_deps = 0, initial_tasks = 0 where step_slug = any (%s)"
    connection.execute(query, (list(step_slugs),))


class TestWithinAStart:
    def test_an_empty_root_map_is_completed_with_an_empty_array(self, connection: Connection) -> None:
        define(connection, "a*")
        completed = state(connection, start(connection, []), "a")
        assert (completed["status"], completed["output"], completed["remaining_tasks"]) == ("completed", [], 0)
        assert completed["started_at"] == completed["completed_at"]

    def test_it_has_no_task(self, connection: Connection) -> None:
        define(connection, "a*")
        assert tasks(connection, start(connection, [])) == []

    def test_it_sends_a_completed_event_and_no_started_event(self, recorded: Connection) -> None:
        define(recorded, "a*")
        start(recorded, [])
        assert event_names(recorded) == ["run:started", "step:a:completed", "run:completed"]

    def test_its_event_has_the_output_and_the_counters(self, recorded: Connection) -> None:
        define(recorded, "a*")
        run_id = start(recorded, [])
        payload = events(recorded)[1]["payload"]
        assert (payload["event_type"], payload["run_id"], payload["step_slug"]) == ("step:completed", str(run_id), "a")
        assert (payload["status"], payload["output"]) == ("completed", [])
        assert (payload["remaining_tasks"], payload["remaining_deps"]) == (0, 0)
        assert payload["started_at"] == payload["completed_at"]

    def test_a_chain_of_empty_maps_completes_in_one_call(self, connection: Connection) -> None:
        define_chain(connection, 5)
        completed = start_run(connection, [])
        assert (completed["status"], completed["remaining_steps"], completed["output"]) == ("completed", 0, {"m4": []})

    def test_49_chained_empty_maps_complete(self, connection: Connection) -> None:
        define_chain(connection, 49)
        assert start_run(connection, [])["status"] == "completed"

    def test_51_chained_empty_maps_are_refused_and_leave_no_run(self, connection: Connection) -> None:
        define_chain(connection, 51)
        with refused(connection, "P0001", LIMIT_TEXT):
            start(connection, [])
        assert rows(connection, "select * from pgflow.runs") == []

    def test_two_single_children_start_with_the_empty_array(self, connection: Connection) -> None:
        define(connection, "a*", "b < a", "c < a")
        run_id = start(connection, [])
        inputs = [found["input"] for slug in "bc" for found in begin(connection, run_id, slug)]
        assert inputs == [{"a": []}, {"a": []}]

    def test_a_single_step_behind_two_empty_maps_starts_once(self, recorded: Connection) -> None:
        define(recorded, "a*", "b*", "c < a b")
        joined = state(recorded, start(recorded, []), "c")
        assert (joined["status"], joined["remaining_deps"]) == ("started", 0)
        assert event_names(recorded).count("step:c:started") == 1

    def test_events_of_a_chain_come_parents_first(self, recorded: Connection) -> None:
        define(recorded, "z*", "y* < z", "x* < y")
        start(recorded, [])
        assert event_names(recorded)[1:-1] == ["step:z:completed", "step:y:completed", "step:x:completed"]

    def test_a_full_map_beside_an_empty_one_goes_on(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c*")
        run_id = start(connection, [1])
        finish(connection, run_id, "a", [])
        assert statuses(connection, run_id) == {"a": "completed", "b": "completed", "c": "started"}


class TestWithinACompletion:
    def test_an_empty_output_completes_the_map_and_the_maps_behind_it(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c* < b")
        run_id = start(connection)
        finish(connection, run_id, "a", [])
        assert run(connection, run_id)["output"] == {"c": []}

    def test_a_map_behind_an_empty_map_knows_that_it_gets_no_tasks(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c* < b")
        run_id = start(connection)
        finish(connection, run_id, "a", [])
        assert [found["initial_tasks"] for found in states(connection, run_id).values()] == [1, 0, 0]

    def test_a_long_chain_behind_a_completed_step_completes(self, connection: Connection) -> None:
        define(connection, "a", "m0* < a", *(f"m{index}* < m{index - 1}" for index in range(1, 55)))
        run_id = start(connection)
        finish(connection, run_id, "a", [])
        assert run(connection, run_id)["status"] == "completed"

    def test_a_skipped_step_completes_the_maps_behind_it(self, connection: Connection) -> None:
        define(connection, step("a", when_exhausted="skip", max_attempts=1), "b* < a", "c* < b", "d < c")
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        assert list(statuses(connection, run_id).values()) == ["skipped", "completed", "completed", "started"]


class TestCalledOnItsOwn:
    pytestmark = pytest.mark.breaks_invariants

    def test_it_returns_how_many_steps_it_completed(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c* < b", "d* < c", "e*")
        run_id = start(connection, [1])
        make_taskless(connection, "b")
        assert cascade(connection, run_id) == 3

    def test_it_takes_them_off_the_run(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c* < b")
        run_id = start(connection)
        make_taskless(connection, "b")
        cascade(connection, run_id)
        assert run(connection, run_id)["remaining_steps"] == 1

    def test_a_single_step_without_tasks_completes_with_no_output(self, connection: Connection) -> None:
        define(connection, "a", "b < a")
        run_id = start(connection)
        make_taskless(connection, "b")
        assert cascade(connection, run_id) == 1
        assert (state(connection, run_id, "b")["status"], state(connection, run_id, "b")["output"]) == (
            "completed",
            None,
        )

    def test_parents_of_one_wave_count_together(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c* < a", "d < b c a")
        run_id = start(connection)
        make_taskless(connection, "b", "c")
        cascade(connection, run_id)
        assert state(connection, run_id, "d")["remaining_deps"] == 1

    def test_it_starts_nothing(self, connection: Connection) -> None:
        define(connection, "a", "b* < a", "c < b")
        run_id = start(connection)
        make_taskless(connection, "b")
        cascade(connection, run_id)
        assert statuses(connection, run_id) == {"a": "started", "b": "completed", "c": "created"}

    def test_it_does_not_complete_the_run(self, connection: Connection) -> None:
        define(connection, "a*")
        run_id = start(connection, [1])
        connection.execute(
            "update pgflow.step_states set status = 'created', started_at = null, remaining_tasks = null, "
            "initial_tasks = 0"
        )
        assert cascade(connection, run_id) == 1
        assert (run(connection, run_id)["status"], run(connection, run_id)["remaining_steps"]) == ("started", 0)

    def test_more_than_50_waves_are_refused(self, connection: Connection) -> None:
        define(connection, "a", "m0* < a", *(f"m{index}* < m{index - 1}" for index in range(1, 51)))
        run_id = start(connection)
        make_taskless(connection, "m0")
        with refused(connection, "P0001", LIMIT_TEXT):
            cascade(connection, run_id)

    def test_a_run_with_nothing_to_complete_does_not_change(self, connection: Connection) -> None:
        define(connection, "a", "b* < a")
        run_id = start(connection)
        before = snapshot(connection)
        assert cascade(connection, run_id) == 0
        assert snapshot(connection) == before

    @pytest.mark.parametrize("status", ["failed", "completed"])
    def test_a_run_that_has_ended_does_not_change(self, connection: Connection, status: str) -> None:
        define(connection, "a", "b* < a")
        run_id = start(connection)
        make_taskless(connection, "b")
        end = f"update pgflow.runs set status = '{status}', {status}_at = now()"
        connection.execute(end)
        before = snapshot(connection)
        assert cascade(connection, run_id) == 0
        assert snapshot(connection) == before

    def test_an_unknown_run_gives_zero(self, connection: Connection) -> None:
        assert cascade(connection, UNKNOWN) == 0
