"""A run and the states of its steps as one document."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sql.engine import UNKNOWN, Connection, RunId, create_flow, define, refused, start, value

RUN_ID = UUID(int=7)


def get(connection: Connection, run_id: RunId) -> dict[str, Any] | None:
    found: dict[str, Any] | None = value(connection, "select pgflow.get_run_with_states(run_id => %s)", run_id)
    return found


def test_it_has_all_columns_of_the_run(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection, {"x": 1})
    document = get(connection, run_id)
    assert document is not None
    assert document["run"] == value(connection, "select to_jsonb(r) from pgflow.runs r where run_id = %s", run_id)


@pytest.mark.feature("A1.7")
def test_it_has_all_columns_of_the_states_in_the_order_of_definition(connection: Connection) -> None:
    define(connection, "c", "a < c", "b < a")
    run_id = start(connection)
    document = get(connection, run_id)
    assert document is not None
    assert [found["step_slug"] for found in document["steps"]] == ["c", "a", "b"]
    query = "select to_jsonb(ss) from pgflow.step_states ss where run_id = %s and step_slug = 'a'"
    assert document["steps"][1] == value(connection, query, run_id)


def test_an_unknown_run_is_null(connection: Connection) -> None:
    assert get(connection, UNKNOWN) is None


def test_a_run_without_steps_has_an_empty_list(connection: Connection) -> None:
    create_flow(connection)
    document = get(connection, start(connection))
    assert document is not None
    assert document["steps"] == []


def test_starting_with_states_returns_the_new_run(connection: Connection) -> None:
    define(connection, "a")
    document = value(connection, "select pgflow.start_flow_with_states('flow', '{}')")
    assert document == get(connection, document["run"]["run_id"])


def test_starting_with_states_takes_an_id(connection: Connection) -> None:
    define(connection, "a")
    query = "select pgflow.start_flow_with_states(flow_slug => 'flow', input => '1', run_id => %s)"
    assert value(connection, query, RUN_ID)["run"]["run_id"] == str(RUN_ID)
    with refused(connection, "23505", "runs_pkey"):
        value(connection, query, RUN_ID)


def test_starting_with_states_shows_how_far_the_run_went(connection: Connection) -> None:
    define(connection, "m*")
    document = value(connection, "select pgflow.start_flow_with_states('flow', '[]')")
    assert (document["run"]["status"], document["steps"][0]["status"]) == ("completed", "completed")


def test_starting_with_states_refuses_what_a_start_refuses(connection: Connection) -> None:
    define(connection, "m*")
    with refused(connection, "P0001", "Flow flow has root map steps but input is not an array (got object)"):
        value(connection, "select pgflow.start_flow_with_states('flow', '{}')")


def test_a_run_that_the_same_statement_has_started_is_seen(connection: Connection) -> None:
    define(connection, "a")
    query = "select pgflow.get_run_with_states(started.run_id) from pgflow.start_flow('flow', '{}') as started"
    assert [step["step_slug"] for step in value(connection, query)["steps"]] == ["a"]
