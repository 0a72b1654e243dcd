"""`flow_exists` tells whether a flow is registered."""

from __future__ import annotations

import pytest

from sql.engine import Connection, create_flow, value


def exists(connection: Connection, slug: str | None) -> object:
    return value(connection, "select pgflow.flow_exists(%s)", slug)


@pytest.mark.feature("A2.8")
def test_a_registered_flow_exists(connection: Connection) -> None:
    create_flow(connection)
    assert exists(connection, "flow") is True


@pytest.mark.feature("A2.8")
def test_an_unknown_flow_does_not(connection: Connection) -> None:
    assert exists(connection, "flow") is False


def test_case_matters(connection: Connection) -> None:
    create_flow(connection)
    assert exists(connection, "Flow") is False


def test_no_slug_is_no_flow(connection: Connection) -> None:
    assert exists(connection, None) is False


def test_a_deleted_flow_does_not_exist(connection: Connection) -> None:
    create_flow(connection)
    connection.execute("select pgflow.delete_flow_and_data('flow')")
    assert exists(connection, "flow") is False


def test_a_queue_alone_is_no_flow(connection: Connection) -> None:
    connection.execute("select pgmq.create('flow')")
    assert exists(connection, "flow") is False
