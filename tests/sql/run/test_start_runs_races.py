"""Starts with the same key meet each other, pruning and the deletion of their flow, on connections of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sql.engine import Connection, Row, connect, define, finish, rows, value
from sql.sessions import DEADLINE_SECONDS, Session, sessions, wait_until_blocked


def start_keys(connection: Connection, *keys: str) -> list[Row]:
    query = "select run_id, existed from pgflow.start_runs('flow', array_fill('1'::jsonb, array[%s::int]), %s::text[])"
    return rows(connection, query, len(keys), list(keys))


def start_and_commit(connection: Connection, *keys: str) -> list[Row]:
    with connection.transaction():
        return start_keys(connection, *keys)


def prune_all(connection: Connection) -> int:
    deleted = value(connection, "select deleted_runs from pgflow.prune_data_older_than('0 seconds', null)")
    assert isinstance(deleted, int)
    return deleted


@dataclass(frozen=True)
class Meeting:
    """Two sessions with a transaction each, and a connection that looks at what is committed."""

    first: Session
    second: Session
    observer: Connection

    def waits(self, function: Any, *arguments: Any) -> Future[Any]:
        """Begin a call in the second session that waits for the first."""
        call = self.second.in_background(function, *arguments)
        wait_until_blocked(self.observer, self.second, self.first, call)
        return call

    def runs(self) -> list[UUID]:
        with self.observer.transaction():
            return [each["run_id"] for each in rows(self.observer, "select run_id from pgflow.runs order by 1")]


@pytest.fixture
def meeting(database_url: str) -> Iterator[Meeting]:
    """Sessions on a database with a flow of the step a."""
    with sessions(database_url) as (first, second), connect(database_url, autocommit=True) as observer:
        define(observer, "a")
        yield Meeting(first, second, observer)


def test_the_second_start_waits_for_the_first_and_gets_its_run(meeting: Meeting) -> None:
    [started] = start_keys(meeting.first.connection, "k")
    call = meeting.waits(start_keys, "k")
    meeting.first.connection.commit()
    assert call.result(DEADLINE_SECONDS) == [{"run_id": started["run_id"], "existed": True}]
    meeting.second.connection.commit()
    assert meeting.runs() == [started["run_id"]]


def test_the_second_start_is_the_first_where_that_is_rolled_back(meeting: Meeting) -> None:
    start_keys(meeting.first.connection, "k")
    call = meeting.waits(start_keys, "k")
    meeting.first.connection.rollback()
    [started] = call.result(DEADLINE_SECONDS)
    meeting.second.connection.commit()
    assert not started["existed"]
    assert meeting.runs() == [started["run_id"]]


def test_only_the_keys_that_are_taken_are_waited_for(meeting: Meeting) -> None:
    start_keys(meeting.first.connection, "k")
    meeting.second.connection.execute("set lock_timeout = '1ms'")
    assert not start_keys(meeting.second.connection, "other")[0]["existed"]


def test_batches_take_their_keys_in_one_order(meeting: Meeting) -> None:
    """The second has taken nothing that the first wants, when it waits: it begins with the same key."""
    start_keys(meeting.first.connection, "a")
    call = meeting.waits(start_keys, "z", "a")
    meeting.first.connection.execute("set lock_timeout = '1ms'")
    start_keys(meeting.first.connection, "z")
    meeting.first.connection.commit()
    assert [each["existed"] for each in call.result(DEADLINE_SECONDS)] == [True, True]


def test_a_start_waits_for_the_pruning_of_the_run_with_its_key_and_starts_another(meeting: Meeting) -> None:
    [old] = start_and_commit(meeting.first.connection, "k")
    with meeting.first.connection.transaction():
        finish(meeting.first.connection, old["run_id"], "a")
    assert prune_all(meeting.first.connection) == 1
    call = meeting.waits(start_keys, "k")
    meeting.first.connection.commit()
    [started] = call.result(DEADLINE_SECONDS)
    meeting.second.connection.commit()
    assert not started["existed"]
    assert meeting.runs() == [started["run_id"]]


def test_pruning_does_not_wait_for_a_start_that_has_found_the_run(meeting: Meeting) -> None:
    [old] = start_and_commit(meeting.first.connection, "k")
    with meeting.first.connection.transaction():
        finish(meeting.first.connection, old["run_id"], "a")
    assert start_keys(meeting.first.connection, "k")[0]["existed"]
    meeting.second.connection.execute("set lock_timeout = '1ms'")
    assert prune_all(meeting.second.connection) == 1


def test_a_start_waits_for_the_deletion_of_the_flow_and_finds_none(meeting: Meeting) -> None:
    start_and_commit(meeting.first.connection, "k")
    meeting.first.connection.execute("select pgflow.delete_flow_and_data('flow')")
    call = meeting.waits(start_keys, "k")
    meeting.first.connection.commit()
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="runs_flow_slug_fkey"):
        call.result(DEADLINE_SECONDS)
    meeting.second.connection.rollback()
    assert value(meeting.observer, "select count(*) from pgflow.run_keys") == 0


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_who_may_not_see_the_other_run_is_told_to_try_again(meeting: Meeting, level: str) -> None:
    meeting.second.connection.execute(f"set transaction isolation level {level}")
    assert value(meeting.second.connection, "select count(*) from pgflow.runs") == 0
    [started] = start_and_commit(meeting.first.connection, "k")
    with pytest.raises(psycopg.errors.SerializationFailure):
        start_keys(meeting.second.connection, "k")
    meeting.second.connection.rollback()
    meeting.second.connection.execute(f"set transaction isolation level {level}")
    assert start_keys(meeting.second.connection, "k") == [{"run_id": started["run_id"], "existed": True}]
    meeting.second.connection.rollback()


def test_who_still_sees_a_pruned_run_starts_another(meeting: Meeting) -> None:
    [old] = start_and_commit(meeting.first.connection, "k")
    with meeting.first.connection.transaction():
        finish(meeting.first.connection, old["run_id"], "a")
    meeting.second.connection.execute("set transaction isolation level repeatable read")
    assert value(meeting.second.connection, "select count(*) from pgflow.runs") == 1
    with meeting.first.connection.transaction():
        assert prune_all(meeting.first.connection) == 1
    [started] = start_keys(meeting.second.connection, "k")
    assert not started["existed"]
    assert start_keys(meeting.second.connection, "k") == [{"run_id": started["run_id"], "existed": True}]
    by_key = rows(meeting.second.connection, "select run_id from pgflow.get_run_by_key('flow', 'k')")
    assert by_key == [{"run_id": started["run_id"]}]
    meeting.second.connection.commit()
    assert meeting.runs() == [started["run_id"]]


def test_a_key_is_free_again_where_a_part_of_a_transaction_is_taken_back(meeting: Meeting) -> None:
    connection = meeting.first.connection
    with connection.transaction(force_rollback=True):
        assert not start_keys(connection, "k")[0]["existed"]
    assert not start_keys(connection, "k")[0]["existed"]
    connection.commit()
    assert len(meeting.runs()) == 1


def test_a_run_that_was_started_and_deleted_in_one_transaction_leaves_nothing(meeting: Meeting) -> None:
    connection = meeting.first.connection
    start_keys(connection, "k")
    connection.execute("select pgflow.delete_flow_and_data('flow')")
    connection.commit()
    assert value(meeting.observer, "select count(*) from pgflow.run_keys") == 0


def test_a_process_that_dies_before_its_commit_leaves_the_key_free(meeting: Meeting) -> None:
    start_keys(meeting.first.connection, "k")
    call = meeting.waits(start_keys, "k")
    meeting.observer.execute("select pg_terminate_backend(%s)", [meeting.first.process_id])
    assert not call.result(DEADLINE_SECONDS)[0]["existed"]
    meeting.second.connection.commit()
    assert len(meeting.runs()) == 1


def test_many_that_start_the_same_keys_at_once_agree(meeting: Meeting, database_url: str) -> None:
    def start_all(seed: int) -> dict[str, Any]:
        keys = [f"order {number}" for number in range(40)]
        Random(seed).shuffle(keys)
        with connect(database_url) as connection:
            found: dict[str, Any] = {}
            for part in (keys[:15], keys[15:25], keys[25:]):
                found |= dict(zip(part, start_and_commit(connection, *part), strict=True))
            return found

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(start_all, range(12)))
    for key in answers[0]:
        assert len({answer[key]["run_id"] for answer in answers}) == 1
        assert sum(not answer[key]["existed"] for answer in answers) == 1
    assert len(meeting.runs()) == 40


def test_a_start_always_gives_a_run_however_often_runs_are_pruned(meeting: Meeting, database_url: str) -> None:
    """A flow without steps, whose runs have ended at once and are pruned at once."""
    define(meeting.observer, flow="brief")
    rounds, given = count(), []

    def start_often(seed: int) -> None:
        query = "select run_id, run from pgflow.start_runs('brief', array_fill('1'::jsonb, array[5]), %s::text[])"
        with connect(database_url, autocommit=True) as connection:
            for _ in range(100):
                keys = [f"order {Random(seed + next(rounds)).randrange(8)}" for _ in range(5)]
                given.append(len(rows(connection, query, keys)))

    with ThreadPoolExecutor(4) as threads, connect(database_url, autocommit=True) as pruning:
        starting = [threads.submit(start_often, seed) for seed in range(3)]
        while not all(each.done() for each in starting):
            prune_all(pruning)
        for each in starting:
            each.result()
    assert given == [5] * 300
