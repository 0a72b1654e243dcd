"""`set_vt_batch` changes the visibility of many messages with one statement."""

from __future__ import annotations

from datetime import datetime

import psycopg
import pytest

from sql.engine import Connection, Row, as_json, read, rows, value


@pytest.fixture
def message_ids(connection: Connection) -> list[int]:
    """Three messages in the queue `letters`."""
    connection.execute("select pgmq.create('letters')")
    return [send(connection, letter) for letter in ("a", "b", "c")]


def send(connection: Connection, message: object, headers: object = None) -> int:
    query = "select pgmq.send('letters', %s::jsonb, %s::jsonb) as id"
    return int(value(connection, query, as_json(message), as_json(headers)))


def set_vt(
    connection: Connection, ids: list[int] | None, offsets: list[int] | None, queue: str = "letters"
) -> list[Row]:
    query = "select * from pgflow.set_vt_batch(queue_name => %s, msg_ids => %s::bigint[], vt_offsets => %s::int[])"
    return rows(connection, query, queue, ids, offsets)


def wall_time(connection: Connection) -> datetime:
    now = value(connection, "select clock_timestamp()")
    assert isinstance(now, datetime)
    return now


def stored(connection: Connection) -> list[Row]:
    return rows(connection, "select * from pgmq.q_letters order by msg_id")


def test_each_message_becomes_visible_after_its_own_offset(connection: Connection, message_ids: list[int]) -> None:
    before = wall_time(connection)
    changed = {row["msg_id"]: row["vt"] for row in set_vt(connection, message_ids, [10, 600, 3600])}
    seconds = [(changed[message_id] - before).total_seconds() for message_id in message_ids]
    assert [pytest.approx(each, abs=5) for each in seconds] == [10, 600, 3600]


def test_offset_zero_makes_a_message_visible_now(connection: Connection, message_ids: list[int]) -> None:
    set_vt(connection, message_ids, [3600, 3600, 3600])
    set_vt(connection, message_ids[1:2], [0])
    assert read(connection, "letters") == message_ids[1:2]


def test_the_rows_returned_are_those_stored(connection: Connection, message_ids: list[int]) -> None:
    returned = sorted(set_vt(connection, message_ids, [1, 2, 3]), key=lambda row: row["msg_id"])
    assert [{name: row[name] for name in returned[0]} for row in stored(connection)] == returned


def test_the_message_itself_is_returned(connection: Connection, message_ids: list[int]) -> None:
    assert [row["message"] for row in set_vt(connection, message_ids[:1], [5])] == ["a"]


def test_how_often_a_message_was_read_does_not_change(connection: Connection, message_ids: list[int]) -> None:
    connection.execute("select pgmq.read('letters', 0, 10)")
    assert [row["read_ct"] for row in set_vt(connection, message_ids, [1, 2, 3])] == [1, 1, 1]


def test_headers_are_null_for_a_message_without(connection: Connection, message_ids: list[int]) -> None:
    assert [row["headers"] for row in set_vt(connection, message_ids[:1], [5])] == [None]


def test_headers_are_returned_for_a_message_with_some(connection: Connection, message_ids: list[int]) -> None:
    message_id = send(connection, "d", {"trace": 1})
    assert [row["headers"] for row in set_vt(connection, [message_id], [5])] == [{"trace": 1}]


def test_ids_that_are_not_in_the_queue_are_ignored(connection: Connection, message_ids: list[int]) -> None:
    changed = set_vt(connection, [message_ids[0], 4711], [5, 5])
    assert [row["msg_id"] for row in changed] == message_ids[:1]


def test_an_archived_message_is_ignored(connection: Connection, message_ids: list[int]) -> None:
    connection.execute("select pgmq.archive('letters', %s::bigint)", [message_ids[0]])
    assert set_vt(connection, message_ids[:1], [5]) == []


def test_messages_that_are_not_named_keep_their_visibility(connection: Connection, message_ids: list[int]) -> None:
    before = stored(connection)[1:]
    set_vt(connection, message_ids[:1], [600])
    assert stored(connection)[1:] == before


@pytest.mark.parametrize(
    ("ids", "offsets"),
    [([], []), (None, [1]), ([1], None), (None, None)],
    ids=["both empty", "ids null", "offsets null", "both null"],
)
@pytest.mark.usefixtures("message_ids")
def test_nothing_to_change_gives_no_rows(
    connection: Connection, ids: list[int] | None, offsets: list[int] | None
) -> None:
    assert set_vt(connection, ids, offsets) == []


@pytest.mark.parametrize(("ids", "offsets"), [([1, 2], [1]), ([1], [1, 2]), ([], [1]), ([1], [])])
@pytest.mark.usefixtures("message_ids")
def test_arrays_of_different_lengths_are_refused(connection: Connection, ids: list[int], offsets: list[int]) -> None:
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        set_vt(connection, ids, offsets)
    expected = f"msg_ids length ({len(ids)}) must equal vt_offsets length ({len(offsets)})"
    assert refused.value.diag.message_primary == expected


def test_a_queue_that_does_not_exist_is_an_undefined_table(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable, match=r'relation "pgmq\.q_nowhere" does not exist'):
        set_vt(connection, [1], [1], queue="nowhere")


def test_the_name_of_a_queue_is_folded_to_lower_case(connection: Connection, message_ids: list[int]) -> None:
    assert len(set_vt(connection, message_ids, [1, 2, 3], queue="LETTERS")) == 3


@pytest.mark.usefixtures("message_ids")
def test_the_name_of_a_queue_is_an_identifier_and_no_text_to_execute(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        set_vt(connection, [1], [1], queue='letters" q set vt = now()')
