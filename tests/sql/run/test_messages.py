"""The messages that a start sends: what is in them, their order, and when they can be read."""

from __future__ import annotations

import pytest

from sql.engine import Connection, announced, archived, define, finish, live, read, start, step, tasks


def test_a_message_has_exactly_four_keys(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    [message] = live(connection)
    assert message["message"] == {"flow_slug": "flow", "run_id": str(run_id), "step_slug": "a", "task_index": 0}
    assert message["headers"] is None


def test_the_task_knows_its_message(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [1, 2])
    assert [sent["msg_id"] for sent in live(connection)] == [found["message_id"] for found in tasks(connection, run_id)]


def test_messages_come_by_step_slug_and_then_task_index(connection: Connection) -> None:
    define(connection, "z", "m*", "a")
    start(connection, list(range(12)))
    assert announced(live(connection)) == [("a", 0), *(("m", index) for index in range(12)), ("z", 0)]


def test_messages_are_delivered_in_that_order(connection: Connection) -> None:
    define(connection, "z", "m*", "a")
    start(connection, [1, 2])
    ids = [sent["msg_id"] for sent in live(connection)]
    assert read(connection, limit=3) == ids[:3]


def test_tasks_are_visible_at_once(connection: Connection) -> None:
    define(connection, step("a", start_delay=0), step("b", start_delay=None))
    start(connection)
    assert all(sent["seconds"] <= 0 for sent in live(connection))


@pytest.mark.parametrize("delayed", ["a", "a*"])
def test_a_start_delay_holds_back_every_task_of_the_step(connection: Connection, delayed: str) -> None:
    define(connection, step(delayed, start_delay=300), "b")
    start(connection, [1, 2])
    seconds = {name: [m["seconds"] for m in live(connection) if m["message"]["step_slug"] == name] for name in "ab"}
    assert all(290 < delay <= 300 for delay in seconds["a"])
    assert all(delay <= 0 for delay in seconds["b"])


def test_a_start_delay_counts_from_the_start_of_a_dependent_step(connection: Connection) -> None:
    define(connection, "a", step("b < a", start_delay=300))
    run_id = start(connection)
    finish(connection, run_id, "a")
    [message] = live(connection)
    assert 290 < message["seconds"] <= 300


def test_a_delayed_task_can_not_be_read(connection: Connection) -> None:
    define(connection, step("a", start_delay=300))
    start(connection)
    assert read(connection) == []


def test_a_completed_run_leaves_its_messages_in_the_archive(connection: Connection) -> None:
    define(connection, "m*", "b < m")
    run_id = start(connection, [1, 2])
    finish(connection, run_id, "m", 1, 2)
    finish(connection, run_id, "b")
    assert live(connection) == []
    assert announced(archived(connection)) == [("m", 0), ("m", 1), ("b", 0)]


def test_runs_of_one_flow_share_its_queue(connection: Connection) -> None:
    define(connection, "a")
    run_ids = [start(connection), start(connection)]
    assert [sent["message"]["run_id"] for sent in live(connection)] == [str(run_id) for run_id in run_ids]


def test_runs_of_another_flow_have_another_queue(connection: Connection) -> None:
    define(connection, "a")
    define(connection, "a", flow="other")
    start(connection)
    start(connection, flow="other")
    assert (len(live(connection)), len(live(connection, "other"))) == (1, 1)
