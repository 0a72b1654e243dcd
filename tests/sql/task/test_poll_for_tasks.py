"""`poll_for_tasks` is deprecated and only says so."""

from __future__ import annotations

import psycopg
import pytest

from sql.engine import Connection, define, rows, start

POLL = "select * from pgflow.poll_for_tasks(queue_name => 'greet', vt => 30, qty => 10)"


@pytest.fixture
def started(connection: Connection) -> Connection:
    """A run with one task in the queue."""
    define(connection, "hello", flow="greet")
    start(connection, flow="greet")
    return connection


def test_it_returns_nothing_though_there_are_tasks(started: Connection) -> None:
    assert rows(started, POLL) == []


def test_it_reads_no_message(started: Connection) -> None:
    before = rows(started, "select * from pgmq.q_greet")
    started.execute(POLL)
    assert rows(started, "select * from pgmq.q_greet") == before


def test_it_starts_no_task(started: Connection) -> None:
    started.execute(POLL)
    assert rows(started, "select status from pgflow.step_tasks") == [{"status": "queued"}]


def test_it_says_that_it_is_deprecated(started: Connection) -> None:
    notices: list[str] = []

    def remember(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}")

    started.add_notice_handler(remember)
    started.execute("set local client_min_messages to notice")
    started.execute(POLL)
    started.remove_notice_handler(remember)
    assert [notice.startswith("NOTICE: DEPRECATED: poll_for_tasks is deprecated") for notice in notices] == [True]


def test_it_does_not_mind_a_queue_that_does_not_exist(connection: Connection) -> None:
    query = "select * from pgflow.poll_for_tasks('nowhere', 30, 10, max_poll_seconds => 1, poll_interval_ms => 10)"
    assert rows(connection, query) == []
