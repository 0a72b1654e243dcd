"""upsert_flow and list_flows."""

from __future__ import annotations

import pytest

from sql.engine import Connection, add_step, as_json, define, refused, rows, start, value

SHAPE = {
    "steps": [{"slug": "a", "options": {"timeout": 5}}],
    "options": {"maxAttempts": 2, "baseDelay": 0, "timeout": 9},
}


def upsert(connection: Connection, shape: object = SHAPE, answer: str = "recreate") -> str:
    return value(connection, "select pgflow.upsert_flow('flow', %s, %s) ->> 'status'", as_json(shape), answer)


def options(connection: Connection) -> list[int]:
    found = rows(
        connection,
        "select f.opt_max_attempts, f.opt_base_delay, f.opt_timeout, s.opt_timeout as step_timeout"
        " from pgflow.flows f join pgflow.steps s using (flow_slug)",
    )
    return list(found[0].values())


@pytest.mark.feature("A2.17")
def test_a_flow_is_registered_and_replaced(connection: Connection) -> None:
    assert upsert(connection) == "compiled"
    start(connection)
    assert upsert(connection) == "recompiled"
    assert value(connection, "select count(*) from pgflow.runs") == 0
    assert options(connection) == [2, 0, 9, 5]


@pytest.mark.parametrize("answer", ["if_changed", "error"])
def test_a_flow_that_is_kept_gets_the_new_options(connection: Connection, answer: str) -> None:
    upsert(connection)
    start(connection)
    changed = {"steps": [{"slug": "a", "options": {}}], "options": {"maxAttempts": 7, "timeout": 8}}
    assert upsert(connection, changed, answer) == "verified"
    assert value(connection, "select count(*) from pgflow.runs") == 1
    assert options(connection) == [7, 0, 8, None]


def test_a_flow_that_differs_is_left_alone_where_that_is_asked_for(connection: Connection) -> None:
    define(connection, "a", "b < a")
    start(connection)
    assert upsert(connection, answer="error") == "mismatch"
    assert value(connection, "select count(*) from pgflow.steps") == 2
    assert upsert(connection, answer="if_changed") == "recompiled"
    assert value(connection, "select count(*) from pgflow.runs") == 0


def test_another_answer_is_refused(connection: Connection) -> None:
    with refused(connection, "P0001", "p_on_conflict must be recreate, if_changed or error, not maybe"):
        upsert(connection, answer="maybe")
    with refused(connection, "P0001", "p_on_conflict must be"):
        connection.execute("select pgflow.upsert_flow('flow', '{}', null)")


def test_flows_are_listed_with_their_steps_in_order(connection: Connection) -> None:
    define(connection, "b", "a* < b", flow="second")
    define(connection, flow="first")
    add_step(connection, "c < b a", flow="second", required_input_pattern={"a": 1})
    first, second = [each["flow"] for each in rows(connection, "select flow from pgflow.list_flows() as flow")]
    assert (first["flow_slug"], first["steps"]) == ("first", [])
    assert [(step["step_slug"], step["step_type"], step["dependencies"]) for step in second["steps"]] == [
        ("b", "single", []),
        ("a", "map", ["b"]),
        ("c", "single", ["a", "b"]),
    ]
    patterns = [step["required_input_pattern"] for step in second["steps"]]
    assert patterns == [None, None, {"a": 1}]


def test_only_flows_that_are_named_are_listed(connection: Connection) -> None:
    for flow in ("a", "b", "c"):
        define(connection, flow=flow)
    query = "select flow ->> 'flow_slug' as slug from pgflow.list_flows(%s) as flow"
    assert [each["slug"] for each in rows(connection, query, ["c", "a", "a", "z", None])] == ["a", "c"]
    assert rows(connection, query, []) == []
