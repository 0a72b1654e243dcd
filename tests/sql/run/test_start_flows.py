"""Starting many runs in one call."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    JSON_NULL,
    Connection,
    Row,
    announced,
    as_json,
    begin,
    define,
    events,
    finish,
    live,
    refused,
    rows,
    run,
    start_run,
    statuses,
    step,
    value,
)

IDS = [UUID(int=3), UUID(int=1), UUID(int=2)]


def start_many(connection: Connection, *inputs: object, run_ids: list[UUID] | None = None) -> list[Row]:
    query = "select * from pgflow.start_flows('flow', %s::jsonb[], %s::uuid[])"
    return rows(connection, query, [as_json(run_input) for run_input in inputs], run_ids)


def test_there_is_a_run_for_each_input_in_their_order(connection: Connection) -> None:
    define(connection, "a")
    assert [started["input"] for started in start_many(connection, "x", JSON_NULL, {})] == ["x", JSON_NULL, {}]


def test_given_ids_are_used_in_their_order(connection: Connection) -> None:
    define(connection, "a")
    assert [started["run_id"] for started in start_many(connection, 1, 2, 3, run_ids=IDS)] == IDS


def test_as_many_ids_as_inputs_are_needed(connection: Connection) -> None:
    define(connection, "a")
    with refused(connection, "P0001", "p_run_ids length (3) must equal p_inputs length (1)"):
        start_many(connection, 1, run_ids=IDS)


def test_no_inputs_start_nothing(connection: Connection) -> None:
    define(connection, "a")
    assert start_many(connection) == []


def test_one_bad_input_starts_nothing(connection: Connection) -> None:
    define(connection, "m*")
    with refused(connection, "P0001", "input is not an array (got number)"):
        start_many(connection, [1], 2, [3])
    assert value(connection, "select count(*) from pgflow.runs") == 0


def test_one_id_in_use_starts_nothing(connection: Connection) -> None:
    define(connection, "a")
    start_run(connection, run_id=IDS[1])
    with refused(connection, "23505", "runs_pkey"):
        start_many(connection, 1, 2, 3, run_ids=IDS)
    assert value(connection, "select count(*) from pgflow.runs") == 1


def test_each_run_moves_by_its_own_input(recorded: Connection) -> None:
    define(recorded, "m*", step("a < m", required_input_pattern={"m": []}, forbidden_input_pattern={"m": [1]}))
    empty, full = start_many(recorded, [], [1])
    assert statuses(recorded, empty["run_id"]) == {"m": "completed", "a": "started"}
    assert statuses(recorded, full["run_id"]) == {"m": "started", "a": "created"}
    finish(recorded, full["run_id"], "m", 1)
    assert run(recorded, full["run_id"])["status"] == "completed"


def test_one_run_fails_by_its_condition_and_the_others_go_on(connection: Connection) -> None:
    define(connection, step("a", required_input_pattern={"x": 1}, when_unmet="fail"))
    started = start_many(connection, {"x": 1}, {"x": 2}, {"x": 1})
    assert [found["status"] for found in started] == ["started", "failed", "started"]
    assert len(live(connection)) == 2


@pytest.mark.parametrize("count", [2, 20])
def test_runs_started_together_are_like_runs_started_one_by_one(connection: Connection, count: int) -> None:
    define(connection, "a", "b < a")
    for started in start_many(connection, *range(count)):
        [claimed] = begin(connection, started["run_id"], "a")
        assert claimed["flow_input"] == started["input"]


def test_an_unknown_flow_starts_nothing(connection: Connection) -> None:
    with refused(connection, "23503", "runs_flow_slug_fkey"):
        start_many(connection, 1)


def test_an_input_of_null_starts_nothing(connection: Connection) -> None:
    define(connection, "a")
    with refused(connection, "23502", "input"):
        start_many(connection, 1, None)


def test_runs_of_a_flow_without_steps_are_returned_completed(connection: Connection) -> None:
    define(connection)
    assert [started["status"] for started in start_many(connection, 1, 2)] == ["completed", "completed"]


def test_runs_started_together_send_each_its_own_event(recorded: Connection) -> None:
    define(recorded, "a")
    run_ids = [started["run_id"] for started in start_many(recorded, 1, 2)]
    topics = [sent["topic"] for sent in events(recorded) if sent["event"] == "run:started"]
    assert topics == [f"pgflow:run:{run_id}" for run_id in run_ids]


def test_tasks_of_the_runs_come_in_the_order_of_their_slugs(connection: Connection) -> None:
    define(connection, "b", "a")
    start_many(connection, 1, 2)
    assert announced(live(connection)) == [("a", 0), ("a", 0), ("b", 0), ("b", 0)]
