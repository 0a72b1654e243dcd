"""`fail_stalled_tasks` ends what recovery has given up, by the policy of each step."""

from __future__ import annotations

from uuid import UUID

from sql.engine import (
    Connection,
    announced,
    begin,
    complete,
    define,
    event_names,
    exhaust,
    forget_events,
    live,
    run,
    set_clock,
    snapshot,
    start,
    state,
    statuses,
    step,
    task,
    tasks,
    value,
)

ERROR = "Task stalled: its workers never reported"


def fail_stalled(connection: Connection) -> int:
    count = value(connection, "select pgflow.fail_stalled_tasks()")
    assert isinstance(count, int)
    return count


def stall(connection: Connection) -> None:
    """Let an hour go by and the recovery look at tasks."""
    set_clock(connection, value(connection, "select (pgflow._now() + interval '1 hour')::text"))
    connection.execute("select pgflow.requeue_stalled_tasks()")


def give_up(connection: Connection, *run_ids: UUID, step_slug: str = "a") -> None:
    """Stall the tasks of a step until they are given up."""
    for _ in range(4):
        for run_id in run_ids:
            begin(connection, run_id, step_slug)
        stall(connection)


def test_a_task_that_was_given_up_fails_its_run(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    run_id = start(connection)
    give_up(connection, run_id)
    assert fail_stalled(connection) == 1
    assert [found["status"] for found in (task(connection, run_id, "a"), run(connection, run_id))] == ["failed"] * 2


def test_task_and_step_have_the_reason(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    give_up(connection, run_id)
    fail_stalled(connection)
    found = task(connection, run_id, "a"), state(connection, run_id, "a")
    assert [each["error_message"] for each in found] == [ERROR, ERROR]


def test_attempts_that_are_left_do_not_matter(connection: Connection) -> None:
    define(connection, "a", max_attempts=100)
    run_id = start(connection)
    give_up(connection, run_id)
    fail_stalled(connection)
    assert task(connection, run_id, "a")["status"] == "failed"


def test_the_usual_events_are_sent(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    give_up(recorded, run_id)
    forget_events(recorded)
    fail_stalled(recorded)
    assert event_names(recorded) == ["step:a:failed", "run:failed"]


def test_a_step_that_may_be_skipped_is_skipped(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), "b < a")
    run_id = start(connection)
    give_up(connection, run_id)
    fail_stalled(connection)
    assert statuses(connection, run_id) == {"a": "skipped", "b": "started"}


def test_a_step_that_cascades_skips_what_is_behind_it(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip-cascade"), "b < a")
    run_id = start(connection)
    give_up(connection, run_id)
    fail_stalled(connection)
    assert statuses(connection, run_id) == {"a": "skipped", "b": "skipped"}
    assert run(connection, run_id)["status"] == "completed"


def test_one_given_up_task_of_a_map_fails_the_run_and_its_messages_go(connection: Connection) -> None:
    define(connection, "m*", "b")
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "m")
    complete(connection, run_id, "m", "x", 0)
    complete(connection, run_id, "m", "x", 1)
    stall(connection)
    give_up(connection, run_id, step_slug="m")
    assert fail_stalled(connection) == 1
    assert [found["status"] for found in tasks(connection, run_id, "m")] == ["completed", "completed", "failed"]
    assert live(connection) == []


def test_tasks_of_several_runs_fail_together(connection: Connection) -> None:
    define(connection, "a")
    run_ids = [start(connection) for _ in range(3)]
    give_up(connection, *run_ids)
    assert fail_stalled(connection) == 3
    assert {run(connection, run_id)["status"] for run_id in run_ids} == {"failed"}


def test_tasks_that_were_not_given_up_are_left_alone(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    begin(connection, run_id, "a")
    stall(connection)
    begin(connection, run_id, "b")
    before = snapshot(connection)
    assert fail_stalled(connection) == 0
    assert snapshot(connection) == before


def test_a_second_call_fails_nothing(connection: Connection) -> None:
    define(connection, "a")
    give_up(connection, start(connection))
    fail_stalled(connection)
    before = snapshot(connection)
    assert fail_stalled(connection) == 0
    assert snapshot(connection) == before


def test_a_given_up_task_of_a_run_that_failed_otherwise_stays_as_it_is(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    run_id = start(connection)
    give_up(connection, run_id)
    exhaust(connection, run_id, "b")
    assert fail_stalled(connection) == 0
    assert task(connection, run_id, "a")["status"] == "started"


def test_a_given_up_task_of_a_skipped_step_stays_as_it_is(connection: Connection) -> None:
    define(connection, step("m*", when_exhausted="skip"), "b", max_attempts=1)
    run_id = start(connection, [1, 2])
    give_up(connection, run_id, step_slug="m")
    fail_stalled(connection)
    assert sorted(found["status"] for found in tasks(connection, run_id, "m")) == ["failed", "started"]
    assert fail_stalled(connection) == 0
    assert announced(live(connection)) == [("b", 0)]


def test_a_late_failure_of_a_task_that_was_given_up_is_final_since_its_message_is_gone(connection: Connection) -> None:
    define(connection, "a", max_attempts=100)
    run_id = start(connection)
    give_up(connection, run_id)
    connection.execute("select pgflow.fail_task(%s, 'a', 0, 'too late')", (run_id,))
    assert [found["status"] for found in (task(connection, run_id, "a"), run(connection, run_id))] == ["failed"] * 2
