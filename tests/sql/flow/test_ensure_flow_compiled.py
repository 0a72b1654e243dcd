"""Registering a flow at a worker's start, or finding out that another one of this name is registered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sql.engine import (
    Connection,
    Row,
    archived,
    as_json,
    connect,
    create_flow,
    finish,
    live,
    refused,
    run,
    snapshot,
    start,
    value,
)

LOCAL_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
SHAPE = {"steps": [{"slug": "a"}, {"slug": "b", "dependencies": ["a"]}]}
CHANGED = {"steps": [{"slug": "a"}, {"slug": "c", "dependencies": ["a"]}]}
DIFFERENCES = ["Step at index 1: slug differs 'c' vs 'b'"]


def ensure(connection: Connection, shape: dict[str, Any] = SHAPE, **options: bool) -> dict[str, Any]:
    named = "".join(f", {name} => %s" for name in options)
    query = f"select pgflow.ensure_flow_compiled(flow_slug => 'flow', shape => %s{named})"
    found = value(connection, query, as_json(shape), *options.values())
    assert isinstance(found, dict)
    return found


def test_a_missing_flow_is_compiled(connection: Connection) -> None:
    assert ensure(connection) == {"status": "compiled", "differences": []}
    assert value(connection, "select array_agg(step_slug order by step_index) from pgflow.steps") == ["a", "b"]


def test_an_equal_flow_is_verified(connection: Connection) -> None:
    ensure(connection)
    before = snapshot(connection)
    assert ensure(connection) == {"status": "verified", "differences": []}
    assert snapshot(connection) == before


def flow_type(connection: Connection) -> object:
    return value(connection, "select flow_type from pgflow.flows")


def test_a_shape_that_says_nothing_of_a_type_is_a_flow(connection: Connection) -> None:
    ensure(connection)
    assert flow_type(connection) == "flow"


def test_a_shape_can_be_that_of_a_job(connection: Connection) -> None:
    ensure(connection, {**SHAPE, "flowType": "job"})
    assert flow_type(connection) == "job"


def test_a_flow_of_the_same_shape_becomes_a_job_and_stays_one(connection: Connection) -> None:
    ensure(connection)
    assert ensure(connection, {**SHAPE, "flowType": "job"}) == {"status": "verified", "differences": []}
    assert flow_type(connection) == "job"
    assert ensure(connection) == {"status": "verified", "differences": []}
    assert flow_type(connection) == "job"


def test_an_unknown_type_is_refused(connection: Connection) -> None:
    with refused(connection, "23514", "flow_type_is_valid"):
        ensure(connection, {**SHAPE, "flowType": "cron"})


def test_a_different_flow_is_a_mismatch_and_stays_with_its_runs(connection: Connection) -> None:
    ensure(connection)
    start(connection)
    before = snapshot(connection)
    assert ensure(connection, CHANGED) == {"status": "mismatch", "differences": DIFFERENCES}
    assert snapshot(connection) == before


def test_a_different_flow_is_recompiled_where_data_may_be_lost(connection: Connection) -> None:
    ensure(connection)
    start(connection)
    assert ensure(connection, CHANGED, allow_data_loss=True) == {"status": "recompiled", "differences": DIFFERENCES}
    assert value(connection, "select array_agg(step_slug order by step_index) from pgflow.steps") == ["a", "c"]
    assert value(connection, "select count(*) from pgflow.runs") == 0
    assert live(connection) == archived(connection) == []


def test_a_different_flow_is_recompiled_in_local_mode(connection: Connection) -> None:
    ensure(connection)
    connection.execute("select set_config('app.settings.jwt_secret', %s, true)", (LOCAL_SECRET,))
    assert ensure(connection, CHANGED) == {"status": "recompiled", "differences": DIFFERENCES}


@pytest.mark.parametrize("allow_data_loss", [True, False])
def test_an_equal_flow_keeps_its_runs_whatever_may_be_lost(connection: Connection, allow_data_loss: bool) -> None:
    ensure(connection)
    start(connection)
    assert ensure(connection, allow_data_loss=allow_data_loss)["status"] == "verified"
    assert value(connection, "select count(*) from pgflow.runs") == 1


def test_changed_options_are_not_seen(connection: Connection) -> None:
    ensure(connection)
    assert ensure(connection, {**SHAPE, "options": {"timeout": 1}})["status"] == "verified"
    assert value(connection, "select opt_timeout from pgflow.flows") == 60


def test_a_recompiled_flow_can_be_run(connection: Connection) -> None:
    ensure(connection)
    ensure(connection, CHANGED, allow_data_loss=True)
    run_id = start(connection)
    finish(connection, run_id, "a")
    finish(connection, run_id, "c", 1)
    assert run(connection, run_id)["output"] == {"c": 1}


def test_a_shape_that_can_not_be_compiled_leaves_nothing(connection: Connection) -> None:
    with refused(connection, "23503", "deps_flow_slug_dep_slug_fkey"):
        ensure(connection, {"steps": [{"slug": "a", "dependencies": ["unknown"]}]})
    assert value(connection, "select count(*) from pgflow.flows") == 0


def test_of_two_who_compile_a_new_flow_at_once_one_verifies(database_url: str) -> None:
    def compile_it(_: int) -> str:
        with connect(database_url) as connection:
            return str(ensure(connection)["status"])

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(compile_it, range(2))) == ["compiled", "verified"]


def test_many_who_create_a_flow_at_once_all_get_the_same_row(database_url: str) -> None:
    def create(_: int) -> Row:
        with connect(database_url) as connection:
            return create_flow(connection)

    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(create, range(4))
    assert others == [first] * 3
