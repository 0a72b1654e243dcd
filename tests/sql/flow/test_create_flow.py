"""Registering a flow with its default options and its queue."""

from __future__ import annotations

import pytest

from sql.engine import (
    FLOW,
    Connection,
    Row,
    archived,
    claim,
    complete,
    create_flow,
    define,
    finish,
    has_queue,
    live,
    refused,
    row,
    rows,
    run,
    start,
    value,
)


def options(flow: Row) -> tuple[int, int, int]:
    return flow["opt_max_attempts"], flow["opt_base_delay"], flow["opt_timeout"]


def test_a_flow_has_default_options(connection: Connection) -> None:
    assert options(create_flow(connection)) == (3, 5, 60)


@pytest.mark.feature("A5.5")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((None, None, None), (3, 5, 60)),
        ((7, None, None), (7, 5, 60)),
        ((None, 0, None), (3, 0, 60)),
        ((0, None, 1), (0, 5, 1)),
        ((9, 8, 7), (9, 8, 7)),
    ],
)
def test_options_that_are_null_are_the_default(
    connection: Connection, given: tuple[int | None, int | None, int | None], stored: tuple[int, int, int]
) -> None:
    max_attempts, base_delay, timeout = given
    created = create_flow(connection, max_attempts=max_attempts, base_delay=base_delay, timeout=timeout)
    assert options(created) == stored


def test_the_stored_row_is_returned(connection: Connection) -> None:
    created = create_flow(connection)
    assert created == row(connection, "select * from pgflow.flows")


@pytest.mark.feature("A5.5")
def test_options_can_be_given_by_position(connection: Connection) -> None:
    assert options(row(connection, "select * from pgflow.create_flow('flow', 1, 2, 3)")) == (1, 2, 3)


def test_a_flow_that_exists_keeps_its_options_and_is_returned(connection: Connection) -> None:
    first = create_flow(connection, max_attempts=1)
    assert create_flow(connection, max_attempts=2, base_delay=3, timeout=4) == first
    assert rows(connection, "select * from pgflow.flows") == [first]


def test_a_flow_has_a_queue_of_its_name(connection: Connection) -> None:
    create_flow(connection, "My_Flow")
    assert has_queue(connection, "My_Flow")


def test_registering_a_flow_again_keeps_its_messages(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    create_flow(connection)
    assert len(live(connection)) == 1


def test_a_queue_that_is_missing_is_created_again(connection: Connection) -> None:
    create_flow(connection)
    connection.execute("select pgmq.drop_queue('flow')")
    create_flow(connection)
    assert has_queue(connection)


def test_a_queue_that_is_there_already_is_used(connection: Connection) -> None:
    connection.execute("select pgmq.create('flow')")
    assert create_flow(connection)["flow_slug"] == "flow"


@pytest.mark.parametrize("slug", ["", "1st", "with-dash", "with space", "run", "x" * 129])
def test_an_invalid_slug_leaves_neither_flow_nor_queue(connection: Connection, slug: str) -> None:
    with refused(connection, "23514", "slug_is_valid"):
        create_flow(connection, slug)
    assert value(connection, "select count(*) from pgflow.flows") == 0
    assert not has_queue(connection, slug)


@pytest.mark.parametrize(
    ("option", "number", "constraint"),
    [
        ("max_attempts", -1, "opt_max_attempts_is_nonnegative"),
        ("base_delay", -1, "opt_base_delay_is_nonnegative"),
        ("timeout", 0, "opt_timeout_is_positive"),
    ],
)
def test_options_obey_their_constraints(connection: Connection, option: str, number: int, constraint: str) -> None:
    with refused(connection, "23514", constraint):
        create_flow(connection, FLOW, **{option: number})


def test_a_slug_too_long_for_a_queue_leaves_nothing(connection: Connection) -> None:
    with refused(connection, "P0001"):
        create_flow(connection, "x" * 48)
    assert value(connection, "select count(*) from pgflow.flows") == 0


def test_the_longest_slug_that_a_queue_takes_is_accepted(connection: Connection) -> None:
    slug = "x" * 47
    define(connection, "a", flow=slug)
    finish(connection, start(connection, flow=slug), "a")
    assert len(archived(connection, slug)) == 1


def test_a_slug_that_differs_only_by_case_would_share_a_queue_and_is_refused(connection: Connection) -> None:
    create_flow(connection, "Flow")
    with refused(connection, "P0001", "differs only by case"):
        create_flow(connection, "flow")
    assert rows(connection, "select flow_slug from pgflow.flows") == [{"flow_slug": "Flow"}]


def test_a_flow_with_capitals_works_its_tasks(connection: Connection) -> None:
    define(connection, "A", flow="Flow")
    run_id = start(connection, flow="Flow")
    assert [found["step_slug"] for found in claim(connection, "Flow")] == ["A"]
    complete(connection, run_id, "A", 1)
    assert run(connection, run_id)["output"] == {"A": 1}
