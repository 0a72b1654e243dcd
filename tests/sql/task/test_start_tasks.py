"""Starting the tasks that messages announce: which, once, and for how long nobody else sees them."""

from __future__ import annotations

import pytest

from sql.engine import (
    FLOW,
    UNKNOWN,
    WORKER,
    Connection,
    begin,
    claim,
    complete,
    define,
    exhaust,
    fail,
    live,
    refused,
    register,
    rows,
    snapshot,
    start,
    start_tasks,
    step,
    task,
    value,
)


def ids(connection: Connection, flow: str = FLOW) -> list[int]:
    return [message["msg_id"] for message in live(connection, flow)]


@pytest.fixture
def queued(connection: Connection) -> Connection:
    """A run with the tasks `a` and `b`, both queued, and a registered worker."""
    define(connection, "a", step("b", timeout=7), "c < a b", timeout=30)
    start(connection, {"x": 1})
    register(connection)
    return connection


@pytest.mark.feature("A2.16", "A5.19")
def test_a_task_is_started_by_the_worker(queued: Connection) -> None:
    [started, _] = start_tasks(queued, ids(queued))
    found = task(queued, started["run_id"], "a")
    assert (found["status"], found["attempts_count"], found["last_worker_id"]) == ("started", 1, WORKER)
    assert found["started_at"] == value(queued, "select now()")


@pytest.mark.feature("A2.16", "A5.19")
def test_a_task_is_returned_with_its_message_and_index(queued: Connection) -> None:
    [first, _] = live(queued)
    [started] = start_tasks(queued, [first["msg_id"]])
    assert started == {
        "flow_slug": "flow",
        "run_id": value(queued, "select run_id from pgflow.runs"),
        "step_slug": "a",
        "input": {},
        "msg_id": first["msg_id"],
        "task_index": 0,
        "flow_input": {"x": 1},
    }


@pytest.mark.parametrize("message_ids", [None, [], [-1, 0, 2**62]])
def test_no_known_message_starts_nothing(queued: Connection, message_ids: list[int] | None) -> None:
    before = snapshot(queued)
    assert start_tasks(queued, message_ids) == []
    assert snapshot(queued) == before


def test_an_unknown_flow_starts_nothing(queued: Connection) -> None:
    assert start_tasks(queued, ids(queued), flow="unknown") == []


def test_an_id_listed_twice_counts_once(queued: Connection) -> None:
    [first, _] = ids(queued)
    assert [found["step_slug"] for found in start_tasks(queued, [first, first])] == ["a"]
    assert value(queued, "select max(attempts_count) from pgflow.step_tasks") == 1


def test_an_id_that_is_null_is_ignored(queued: Connection) -> None:
    found = rows(
        queued, "select * from pgflow.start_tasks('flow', array[null, %s]::bigint[], %s)", ids(queued)[0], WORKER
    )
    assert [started["step_slug"] for started in found] == ["a"]


@pytest.mark.feature("A2.16", "A5.19")
def test_the_same_ids_again_start_nothing(queued: Connection) -> None:
    message_ids = ids(queued)
    start_tasks(queued, message_ids)
    before = snapshot(queued)
    assert start_tasks(queued, message_ids) == []
    assert snapshot(queued) == before


def test_only_the_named_tasks_are_started(queued: Connection) -> None:
    [_, second] = ids(queued)
    [started] = start_tasks(queued, [second])
    assert task(queued, started["run_id"], "a")["status"] == "queued"


@pytest.mark.feature("A5.23")
def test_the_message_stays_away_for_the_timeout_and_two_seconds(queued: Connection) -> None:
    start_tasks(queued, ids(queued))
    own, overridden = live(queued)
    assert 31 < own["seconds"] <= 32
    assert 8 < overridden["seconds"] <= 9


def test_a_message_that_the_call_did_not_start_keeps_its_visibility(queued: Connection) -> None:
    [first, second] = live(queued)
    start_tasks(queued, [first["msg_id"]])
    assert live(queued)[1]["vt"] == second["vt"]
    started = live(queued)[0]
    start_tasks(queued, [first["msg_id"]])
    assert live(queued)[0]["vt"] == started["vt"]


def test_a_message_that_is_not_visible_yet_can_be_started(connection: Connection) -> None:
    define(connection, step("a", start_delay=300))
    run_id = start(connection)
    assert len(begin(connection, run_id, "a")) == 1


def test_an_unknown_worker_starts_nothing(queued: Connection) -> None:
    before = snapshot(queued)
    with refused(queued, "23503", "step_tasks_last_worker_id_fkey"):
        start_tasks(queued, ids(queued), worker=UNKNOWN)
    assert snapshot(queued) == before


def test_an_unknown_worker_without_a_task_to_start_is_no_error(queued: Connection) -> None:
    assert start_tasks(queued, [], worker=UNKNOWN) == []


def test_the_number_of_attempts_is_not_looked_at(connection: Connection) -> None:
    define(connection, "a", max_attempts=0)
    run_id = start(connection)
    assert len(begin(connection, run_id, "a")) == 1


def test_a_retried_task_counts_its_attempts(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    for _ in range(2):
        begin(connection, run_id, "a")
        fail(connection, run_id, "a")
    begin(connection, run_id, "a")
    found = task(connection, run_id, "a")
    assert (found["status"], found["attempts_count"], found["error_message"]) == ("started", 3, "boom")


def test_a_completed_task_is_ignored(queued: Connection) -> None:
    message_ids = ids(queued)
    [started, _] = start_tasks(queued, message_ids)
    complete(queued, started["run_id"], "a", 1)
    assert start_tasks(queued, message_ids) == []


def test_tasks_of_a_failed_run_are_ignored(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    run_id = start(connection)
    message_ids = ids(connection)
    exhaust(connection, run_id, "a")
    assert start_tasks(connection, message_ids) == []
    assert task(connection, run_id, "b")["status"] == "queued"


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("status", ["failed", "completed"])
def test_tasks_of_a_run_ended_by_hand_are_ignored(queued: Connection, status: str) -> None:
    queued.execute(f"update pgflow.runs set status = '{status}', {status}_at = now()")
    assert start_tasks(queued, ids(queued)) == []


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    "ended",
    [
        "status = 'skipped', skip_reason = 'preexisting_skip', remaining_tasks = null, skipped_at = now()",
        "status = 'failed', failed_at = now()",
        "status = 'completed', remaining_tasks = 0, completed_at = now()",
    ],
)
def test_tasks_of_a_step_that_has_ended_are_ignored(queued: Connection, ended: str) -> None:
    queued.execute(f"update pgflow.step_states set {ended} where step_slug = 'a'")
    assert [started["step_slug"] for started in start_tasks(queued, ids(queued))] == ["b"]


def test_a_task_of_another_flow_with_the_same_message_id_is_ignored(queued: Connection) -> None:
    define(queued, "a", flow="other")
    other = start(queued, flow="other")
    assert ids(queued, "other")[0] == ids(queued)[0]
    start_tasks(queued, ids(queued))
    assert task(queued, other, "a")["status"] == "queued"


def test_a_batch_may_mix_runs_and_flows_do_not_mix(connection: Connection) -> None:
    define(connection, "a", "m*")
    first, second = start(connection, [1]), start(connection, [2])
    found = {(started["run_id"], started["step_slug"]): started for started in claim(connection)}
    assert len(found) == 4
    assert found[first, "a"]["flow_input"] == [1]
    assert found[second, "a"]["flow_input"] == [2]
    assert (found[first, "m"]["input"], found[second, "m"]["input"]) == (1, 2)


def test_started_tasks_can_be_completed_in_the_same_statement(queued: Connection) -> None:
    query = """
        with started as (select * from pgflow.start_tasks('flow', %s::bigint[], %s))
        select (pgflow.complete_task(run_id, step_slug, task_index, '1')).status from started
    """
    assert [found["status"] for found in rows(queued, query, ids(queued), WORKER)] == ["completed"] * 2


def test_functions_may_be_called_in_a_select_list(queued: Connection) -> None:
    query = "select (pgflow.start_tasks('flow', %s::bigint[], %s)).step_slug"
    found = rows(queued, query, ids(queued), WORKER)
    assert sorted(started["step_slug"] for started in found) == ["a", "b"]
