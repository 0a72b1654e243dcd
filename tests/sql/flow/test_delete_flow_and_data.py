"""Deleting a flow with all that belongs to it."""

from __future__ import annotations

import pytest

from sql.engine import (
    FLOW,
    Connection,
    claim,
    create_flow,
    define,
    finish,
    has_queue,
    live,
    run,
    snapshot,
    start,
    value,
)

TABLES = ("step_tasks", "step_states", "runs", "deps", "steps", "flows")


def delete(connection: Connection, flow: str = FLOW) -> None:
    connection.execute("select pgflow.delete_flow_and_data(p_flow_slug => %s)", (flow,))


def counts(connection: Connection, flow: str) -> list[int]:
    query = "select count(*) from pgflow.{} where flow_slug = %s"
    return [value(connection, query.format(table), flow) for table in TABLES]


@pytest.mark.feature("A2.6")
def test_nothing_of_the_flow_is_left(connection: Connection) -> None:
    define(connection, "a", "m* < a", "b < m")
    run_id = start(connection)
    finish(connection, run_id, "a", [1, 2])
    claim(connection)
    delete(connection)
    assert counts(connection, FLOW) == [0] * 6


def test_its_queue_and_archive_are_dropped(connection: Connection) -> None:
    define(connection, "a")
    delete(connection)
    assert not has_queue(connection)
    assert value(connection, "select to_regclass('pgmq.q_flow')") is None
    assert value(connection, "select to_regclass('pgmq.a_flow')") is None


@pytest.mark.feature("A2.6")
def test_an_unknown_flow_is_no_error(connection: Connection) -> None:
    delete(connection, "unknown")


@pytest.mark.feature("B1.9")
def test_a_flow_whose_queue_is_missing_is_deleted(connection: Connection) -> None:
    create_flow(connection)
    connection.execute("select pgmq.drop_queue('flow')")
    delete(connection)
    assert counts(connection, FLOW) == [0] * 6


def test_other_flows_stay_as_they_are(connection: Connection) -> None:
    define(connection, "a", "b < a", flow="other")
    finish(connection, start(connection, flow="other"), "a", 1)
    before = snapshot(connection)
    define(connection, "a")
    start(connection)
    delete(connection)
    assert snapshot(connection) == before


@pytest.mark.feature("B1.9")
def test_a_queue_that_differs_by_case_belongs_to_another_flow(connection: Connection) -> None:
    define(connection, "a", flow="Flow")
    start(connection, flow="Flow")
    delete(connection, "flow")
    assert len(live(connection, "Flow")) == 1


def test_a_deleted_flow_can_be_created_again(connection: Connection) -> None:
    define(connection, "a")
    delete(connection)
    define(connection, "b")
    run_id = start(connection)
    finish(connection, run_id, "b", 1)
    assert run(connection, run_id)["output"] == {"b": 1}
