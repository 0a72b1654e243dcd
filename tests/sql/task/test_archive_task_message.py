"""`_archive_task_message` takes the message of one task out of the queue."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import UNKNOWN, Connection, RunId, announced, archived, define, live, start, tasks

pytestmark = pytest.mark.breaks_invariants


@pytest.fixture
def run_id(connection: Connection) -> UUID:
    """A run of a map with three tasks."""
    define(connection, "a*")
    return start(connection, [1, 2, 3])


def archive(connection: Connection, run_id: RunId, step_slug: str = "a", index: int = 1) -> None:
    query = "select pgflow._archive_task_message(p_run_id => %s, p_step_slug => %s, p_task_index => %s)"
    connection.execute(query, (run_id, step_slug, index))


def test_the_message_of_this_task_alone_moves_to_the_archive(connection: Connection, run_id: UUID) -> None:
    archive(connection, run_id)
    assert (announced(live(connection)), announced(archived(connection))) == ([("a", 0), ("a", 2)], [("a", 1)])


def test_the_task_does_not_change(connection: Connection, run_id: UUID) -> None:
    before = tasks(connection, run_id)
    archive(connection, run_id)
    assert tasks(connection, run_id) == before


def test_a_message_that_is_archived_already_is_no_error(connection: Connection, run_id: UUID) -> None:
    archive(connection, run_id)
    archive(connection, run_id)
    assert len(archived(connection)) == 1


def test_a_task_without_a_message_is_no_error(connection: Connection, run_id: UUID) -> None:
    connection.execute("update pgflow.step_tasks set message_id = null")
    archive(connection, run_id)
    assert len(live(connection)) == 3


@pytest.mark.parametrize(("step_slug", "index"), [("z", 0), ("a", 9)])
def test_an_unknown_task_is_no_error(connection: Connection, run_id: UUID, step_slug: str, index: int) -> None:
    archive(connection, run_id, step_slug, index)
    assert len(live(connection)) == 3


@pytest.mark.usefixtures("run_id")
def test_an_unknown_run_is_no_error(connection: Connection) -> None:
    archive(connection, UNKNOWN)
    assert len(live(connection)) == 3


def test_a_message_with_the_same_id_in_the_queue_of_another_flow_stays(connection: Connection, run_id: UUID) -> None:
    define(connection, "a*", flow="other")
    start(connection, [1, 2, 3], "other")
    archive(connection, run_id)
    assert len(live(connection, "other")) == 3
