"""`prune_data_older_than` deletes what ended long ago, and nothing else."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from sql.engine import (
    OTHER_WORKER,
    WORKER,
    Connection,
    Row,
    announced,
    archived,
    begin,
    complete,
    define,
    exhaust,
    finish,
    live,
    register,
    row,
    rows,
    run,
    set_clock,
    snapshot,
    start,
    states,
    tasks,
    value,
)

NOTHING = {
    "deleted_runs": 0,
    "deleted_step_states": 0,
    "deleted_step_tasks": 0,
    "deleted_workers": 0,
    "deleted_messages": 0,
}


def prune(connection: Connection, retention: str = "30 days") -> None:
    connection.execute("select pgflow.prune_data_older_than(retention_interval => %s)", (retention,))


def prune_batch(
    connection: Connection, flows: list[str] | None = None, *, size: int = 1000, retention: str = "30 days"
) -> Row:
    return row(connection, "select * from pgflow.prune_data_older_than(%s, %s::text[], %s)", retention, flows, size)


def let_days_pass(connection: Connection, days: int = 40) -> None:
    set_clock(connection, value(connection, "select (pgflow._now() + make_interval(days => %s))::text", days))


def complete_run(connection: Connection, flow: str = "flow") -> UUID:
    """Start a run of a flow of the single step a, and complete it."""
    run_id = start(connection, flow=flow)
    finish(connection, run_id, "a")
    return run_id


def counts(connection: Connection) -> list[int]:
    """Return the numbers of runs, step states, tasks and workers."""
    tables = ("runs", "step_states", "step_tasks", "workers")
    return [value(connection, f"select count(*) from pgflow.{table}") for table in tables]


def run_ids(connection: Connection) -> list[UUID]:
    return [found["run_id"] for found in rows(connection, "select run_id from pgflow.runs")]


# Runs


def test_a_run_that_completed_long_ago_goes_with_all_that_belongs_to_it(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    let_days_pass(connection)
    prune(connection)
    assert (counts(connection), live(connection), archived(connection)) == ([0, 0, 0, 0], [], [])


def test_a_run_that_failed_long_ago_goes_with_steps_that_never_started(connection: Connection) -> None:
    define(connection, "a", "b", "c < a b", max_attempts=1)
    exhaust(connection, start(connection), "a")
    let_days_pass(connection)
    prune(connection)
    assert counts(connection)[:3] == [0, 0, 0]


def test_messages_of_an_old_failed_run_that_are_still_queued_are_deleted(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id, other = start(connection), start(connection)
    connection.execute("update pgflow.runs set status = 'failed', failed_at = now() where run_id = %s", (run_id,))
    let_days_pass(connection)
    prune(connection)
    assert {found["message"]["run_id"] for found in live(connection)} == {str(other)}


def test_tasks_without_message_are_deleted_like_others(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    connection.execute("update pgflow.step_tasks set message_id = null")
    let_days_pass(connection)
    prune(connection)
    assert counts(connection)[:3] == [0, 0, 0]


def test_a_queue_that_is_gone_does_not_matter(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    connection.execute("select pgmq.drop_queue('flow')")
    let_days_pass(connection)
    prune(connection)
    assert counts(connection)[:3] == [0, 0, 0]


def test_a_run_that_goes_on_is_kept_at_any_age(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    let_days_pass(connection, 4000)
    before = states(connection, run_id), tasks(connection, run_id), live(connection)[0]["message"]
    prune(connection)
    assert (states(connection, run_id), tasks(connection, run_id), live(connection)[0]["message"]) == before


def test_a_recent_run_of_the_same_flow_keeps_its_data(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    let_days_pass(connection)
    recent = complete_run(connection)
    prune(connection)
    assert run_ids(connection) == [recent]
    assert (list(states(connection, recent)), len(tasks(connection, recent))) == (["a"], 1)


def test_a_run_that_started_long_ago_and_ended_recently_is_kept(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    let_days_pass(connection)
    finish(connection, run_id, "a")
    prune(connection)
    assert run_ids(connection) == [run_id]


@pytest.mark.parametrize("column", ["completed_at", "failed_at"])
def test_a_run_exactly_at_the_cutoff_is_kept(connection: Connection, column: str) -> None:
    define(connection, "a", max_attempts=1)
    run_id = start(connection)
    (finish if column == "completed_at" else exhaust)(connection, run_id, "a")
    let_days_pass(connection, 30)
    prune(connection)
    assert run(connection, run_id)[column] is not None


def test_a_run_a_microsecond_past_the_cutoff_goes(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    let_days_pass(connection, 30)
    prune(connection, "30 days -1 microseconds")
    assert run_ids(connection) == []


def test_the_definition_stays(connection: Connection) -> None:
    define(connection, "a", "b < a")
    let_days_pass(connection)
    before = snapshot(connection)
    prune(connection)
    assert snapshot(connection) == before


def test_runs_of_all_flows_go(connection: Connection) -> None:
    for flow in ("one", "two"):
        define(connection, "a", flow=flow)
        complete_run(connection, flow)
    let_days_pass(connection)
    prune(connection)
    assert run_ids(connection) == []


def test_it_returns_nothing(connection: Connection) -> None:
    assert value(connection, "select pgflow.prune_data_older_than('1 day')") == ""


# Archived messages


@pytest.mark.parametrize(("age", "kept"), [("31 days", 0), ("30 days", 1), ("29 days", 1)])
def test_archived_messages_go_by_their_own_age(connection: Connection, age: str, kept: int) -> None:
    define(connection, "a")
    complete_run(connection)
    connection.execute("update pgmq.a_flow set archived_at = now() - %s::interval", (age,))
    prune(connection)
    assert len(archived(connection)) == kept


def test_old_archived_messages_of_a_run_that_goes_on_are_deleted(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a")
    let_days_pass(connection)
    prune(connection)
    assert (archived(connection), announced(live(connection))) == ([], [("b", 0)])


# Workers


@pytest.mark.parametrize(("age", "kept"), [("30 days 1 second", 0), ("30 days", 1), ("29 days", 1)])
def test_workers_go_by_their_last_heartbeat(connection: Connection, age: str, kept: int) -> None:
    register(connection)
    connection.execute("update pgflow.workers set last_heartbeat_at = now() - %s::interval", (age,))
    prune(connection)
    assert counts(connection)[3] == kept


@pytest.mark.parametrize(
    ("silent", "kept"), [("0 seconds", 1), ("29 seconds", 1), ("30 seconds", 1), ("31 seconds", 0)]
)
@pytest.mark.parametrize("column", ["started_at", "deprecated_at"])
def test_a_worker_that_is_alive_stays_however_little_is_kept(
    connection: Connection, silent: str, kept: int, column: str
) -> None:
    register(connection)
    connection.execute(
        f"update pgflow.workers set {column} = now(), last_heartbeat_at = now() - %s::interval", (silent,)
    )
    expected = value(connection, "select worker_count from pgflow.count_data_older_than(interval '-1 second')")
    connection.execute("select pgflow.prune_data_older_than(interval '-1 second', null)")
    assert (counts(connection)[3], expected) == (kept, 1 - kept)


def test_a_worker_that_has_stopped_goes_as_soon_as_it_may(connection: Connection) -> None:
    register(connection)
    connection.execute("select pgflow.mark_worker_stopped(%s)", (WORKER,))
    connection.execute("select pgflow.prune_data_older_than(interval '-1 second', null)")
    assert counts(connection)[3] == 0


def test_the_function_of_the_contract_asks_for_nothing_but_the_last_heartbeat(connection: Connection) -> None:
    register(connection)
    connection.execute("select pgflow.prune_data_older_than(interval '-1 second')")
    assert counts(connection)[3] == 0


def test_a_task_forgets_the_worker_that_is_deleted_and_goes_on(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    let_days_pass(connection)
    prune(connection)
    [task] = tasks(connection, run_id)
    assert (task["status"], task["last_worker_id"]) == ("started", None)


# The overload that counts, in batches


def test_it_counts_what_it_deletes(connection: Connection) -> None:
    define(connection, "a", "b* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", [1, 2, 3])
    finish(connection, run_id, "b", 1, 2, 3)
    let_days_pass(connection)
    assert prune_batch(connection) == {
        "deleted_runs": 1,
        "deleted_step_states": 2,
        "deleted_step_tasks": 4,
        "deleted_workers": 1,
        "deleted_messages": 4,
    }


def test_a_second_call_deletes_nothing(connection: Connection) -> None:
    define(connection, "a")
    complete_run(connection)
    let_days_pass(connection)
    prune_batch(connection)
    assert prune_batch(connection) == NOTHING


def test_a_batch_is_bounded_and_the_last_one_is_empty(connection: Connection) -> None:
    define(connection, "a")
    for _ in range(5):
        complete_run(connection)
        connection.execute("select pgflow.register_worker(%s, 'flow', 'tests')", (uuid4(),))
    connection.execute("delete from pgflow.workers where worker_id = %s", (WORKER,))
    let_days_pass(connection)
    batches = [prune_batch(connection, size=2) for _ in range(4)]
    for counted in ("deleted_runs", "deleted_step_tasks", "deleted_workers", "deleted_messages"):
        assert [batch[counted] for batch in batches] == [2, 2, 1, 0], counted


def test_the_bound_on_archived_messages_is_per_flow(connection: Connection) -> None:
    for flow in ("one", "two"):
        define(connection, "a", flow=flow)
        for _ in range(3):
            complete_run(connection, flow)
    let_days_pass(connection)
    assert prune_batch(connection, size=2)["deleted_messages"] == 4


def test_a_batch_takes_a_thousand_runs_unless_told_otherwise(connection: Connection) -> None:
    define(connection)
    connection.execute("select pgflow.start_flows('flow', array_fill('1'::jsonb, array[1001]))")
    let_days_pass(connection)
    query = "select deleted_runs from pgflow.prune_data_older_than('30 days', null)"
    assert [value(connection, query), value(connection, query)] == [1000, 1]


def test_only_the_flows_that_are_named_are_pruned(connection: Connection) -> None:
    for flow, worker in (("one", WORKER), ("two", OTHER_WORKER)):
        define(connection, "a", flow=flow)
        register(connection, worker, flow)
        start(connection, flow=flow)
        [task] = rows(connection, "select * from pgflow.fetch_tasks(%s, %s, 1)", flow, worker)
        complete(connection, task["run_id"], "a")
    let_days_pass(connection)
    deleted = prune_batch(connection, ["one"])
    assert (deleted["deleted_runs"], deleted["deleted_workers"], deleted["deleted_messages"]) == (1, 1, 1)
    assert [found["flow_slug"] for found in rows(connection, "select flow_slug from pgflow.runs")] == ["two"]
    assert [found["worker_id"] for found in rows(connection, "select worker_id from pgflow.workers")] == [OTHER_WORKER]
    assert (len(archived(connection, "one")), len(archived(connection, "two"))) == (0, 1)


@pytest.mark.parametrize("flows", [[], ["unknown"]])
def test_without_a_known_flow_nothing_is_pruned(connection: Connection, flows: list[str]) -> None:
    define(connection, "a")
    complete_run(connection)
    let_days_pass(connection)
    assert prune_batch(connection, flows) == NOTHING
