"""Starting runs with keys and tags, at a time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    Row,
    as_json,
    define,
    fetch,
    finish,
    live,
    refused,
    row,
    rows,
    set_clock,
    start,
    start_run,
    value,
)

IDS = [UUID(int=3), UUID(int=1), UUID(int=2)]
ARGUMENTS = {"p_keys": "text[]", "p_tags": "text[]", "p_start_at": "timestamptz", "p_run_ids": "uuid[]"}


def start_runs(connection: Connection, *inputs: object, flow: str = "flow", **arguments: Any) -> list[Row]:
    named = "".join(f", {name} => %s::{ARGUMENTS[name]}" for name in arguments)
    query = f"select s.run_id, s.existed, to_jsonb(s.run) as run from pgflow.start_runs(%s, %s::jsonb[]{named}) as s"
    return rows(connection, query, flow, [as_json(each) for each in inputs], *arguments.values())


def key_of(connection: Connection, run_id: UUID) -> str | None:
    found = rows(connection, "select key from pgflow.run_keys where run_id = %s", run_id)
    return found[0]["key"] if found else None


def tags_of(connection: Connection, run_id: UUID) -> list[str]:
    tags = value(connection, "select pgflow.get_run_tags(%s)", run_id)
    assert isinstance(tags, list)
    return tags


def count_runs(connection: Connection) -> int:
    count = value(connection, "select count(*) from pgflow.runs")
    assert isinstance(count, int)
    return count


# Without keys


def test_there_is_a_run_for_each_input_in_their_order(connection: Connection) -> None:
    define(connection, "a")
    started = start_runs(connection, "x", 0, {})
    assert [each["run"]["input"] for each in started] == ["x", 0, {}]
    assert [str(each["run_id"]) for each in started] == [each["run"]["run_id"] for each in started]
    assert not any(each["existed"] for each in started)
    assert len(fetch(connection)) == 3


def test_given_ids_are_used_in_their_order(connection: Connection) -> None:
    define(connection, "a")
    assert [each["run_id"] for each in start_runs(connection, 1, 2, 3, p_run_ids=IDS)] == IDS


def test_no_inputs_start_nothing(connection: Connection) -> None:
    define(connection, "a")
    assert start_runs(connection) == []
    assert start_runs(connection, p_keys=[], p_tags=["x"]) == []
    assert rows(connection, "select * from pgflow.start_runs('flow', null)") == []


def test_a_thousand_runs_start_together(connection: Connection) -> None:
    define(connection, "a")
    keys = [f"order {number % 500}" for number in range(1000)]
    started = start_runs(connection, *range(1000), p_keys=keys)
    assert [each["existed"] for each in started] == [False] * 500 + [True] * 500
    assert [each["run_id"] for each in started[:500]] == [each["run_id"] for each in started[500:]]
    assert [each["run"]["input"] for each in started[:500]] == list(range(500))


# Keys


def test_a_key_starts_one_run(connection: Connection) -> None:
    define(connection, "a")
    [first] = start_runs(connection, 1, p_keys=["order 7"])
    [again] = start_runs(connection, 1, p_keys=["order 7"])
    assert (first["existed"], again["existed"], again["run"]) == (False, True, first["run"])
    assert (count_runs(connection), key_of(connection, first["run_id"])) == (1, "order 7")
    assert row(connection, "select run_id from pgflow.get_run_by_key('flow', 'order 7')")["run_id"] == first["run_id"]


def test_the_run_comes_back_as_it_is_whatever_else_is_asked_for(connection: Connection) -> None:
    define(connection, "a")
    [first] = start_runs(connection, 1, p_keys=["k"], p_tags=["old"])
    finish(connection, first["run_id"], "a", "done")
    [again] = start_runs(connection, 2, p_keys=["k"], p_tags=["new"], p_start_at="2100-01-01", p_run_ids=[IDS[0]])
    assert (again["run_id"], again["existed"]) == (first["run_id"], True)
    assert (again["run"]["status"], again["run"]["input"]) == ("completed", 1)
    assert tags_of(connection, first["run_id"]) == ["old"]
    assert live(connection) == []


def test_an_input_that_would_be_refused_is_not_looked_at_where_the_run_is_there(connection: Connection) -> None:
    define(connection, "m*")
    start_runs(connection, [1], p_keys=["k"])
    assert start_runs(connection, "no array", p_keys=["k"])[0]["existed"]


def test_each_flow_has_keys_of_its_own(connection: Connection) -> None:
    for flow in ("one", "other"):
        define(connection, "a", flow=flow)
    started = [start_runs(connection, 1, flow=flow, p_keys=["k"])[0] for flow in ("one", "other")]
    assert [each["existed"] for each in started] == [False, False]
    assert started[0]["run_id"] != started[1]["run_id"]
    assert rows(connection, "select from pgflow.get_run_by_key('third', 'k')") == []


def test_a_key_that_comes_twice_in_a_batch_starts_one_run_of_the_first_input(connection: Connection) -> None:
    define(connection, "a")
    started = start_runs(connection, 1, 2, 3, p_keys=["k", None, "k"])
    assert [(each["run"]["input"], each["existed"]) for each in started] == [(1, False), (2, False), (1, True)]
    assert count_runs(connection) == 2


def test_old_and_new_keys_mix(connection: Connection) -> None:
    define(connection, "a")
    start_runs(connection, 0, p_keys=["b"])
    started = start_runs(connection, 1, 2, 3, p_keys=["c", "b", "a"])
    assert [(each["run"]["input"], each["existed"]) for each in started] == [(1, False), (0, True), (3, False)]
    assert len(fetch(connection)) == 3


def test_a_start_with_key_and_id_can_be_repeated(connection: Connection) -> None:
    define(connection, "a")
    for existed in (False, True):
        [started] = start_runs(connection, 1, p_keys=["k"], p_run_ids=[IDS[0]])
        assert (started["run_id"], started["existed"]) == (IDS[0], existed)
    twice = start_runs(connection, 1, 2, p_keys=["x", "x"], p_run_ids=[IDS[1], IDS[1]])
    assert [(each["run_id"], each["existed"]) for each in twice] == [(IDS[1], False), (IDS[1], True)]


@pytest.mark.parametrize("key", [None, "other"])
def test_an_id_that_another_run_has_is_refused(connection: Connection, key: str | None) -> None:
    define(connection, "a")
    start_run(connection, run_id=IDS[0])
    with refused(connection, "23505", "runs_pkey"):
        start_runs(connection, 1, p_keys=[key], p_run_ids=[IDS[0]])


def test_the_id_of_a_run_with_another_key_is_refused(connection: Connection) -> None:
    define(connection, "a")
    start_runs(connection, 1, p_keys=["k"], p_run_ids=[IDS[0]])
    with refused(connection, "23505", "run_keys_run_id_key"):
        start_runs(connection, 1, p_keys=["other"], p_run_ids=[IDS[0]])


def test_a_key_is_compared_letter_by_letter(connection: Connection) -> None:
    define(connection, "a")
    keys = ["k", "K", " k", "k ", "ü", "u\u0308", "\U0001f600", "k\n", "'; --"]
    started = start_runs(connection, *range(len(keys)), p_keys=keys)
    assert not any(each["existed"] for each in started)
    assert all(each["existed"] for each in start_runs(connection, *range(len(keys)), p_keys=keys))


@pytest.mark.parametrize("key", ["", "x" * 256, "ü" * 256])
def test_a_key_has_1_to_255_characters(connection: Connection, key: str) -> None:
    define(connection, "a")
    assert not start_runs(connection, 1, p_keys=["ü" * 255])[0]["existed"]
    with refused(connection, "23514", "key_is_valid"):
        start_runs(connection, 1, p_keys=[key])


def test_one_bad_input_starts_nothing_and_takes_no_key(connection: Connection) -> None:
    define(connection, "m*")
    with refused(connection, "P0001", "input is not an array"):
        start_runs(connection, [1], 2, p_keys=["a", "b"])
    assert (count_runs(connection), value(connection, "select count(*) from pgflow.run_keys")) == (0, 0)


def test_an_unknown_flow_takes_no_key(connection: Connection) -> None:
    with refused(connection, "23503", "runs_flow_slug_fkey"):
        start_runs(connection, 1, p_keys=["k"])
    assert value(connection, "select count(*) from pgflow.run_keys") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_keys": ["k"]}, "p_keys length (1) must equal p_inputs length (2)"),
        ({"p_keys": []}, "p_keys length (0) must equal p_inputs length (2)"),
        ({"p_run_ids": IDS}, "p_run_ids length (3) must equal p_inputs length (2)"),
        ({"p_tags": [str(number) for number in range(21)]}, "a run has at most 20 tags, not 21"),
        ({"p_start_at": "infinity"}, "p_start_at must be a point in time, not infinity"),
        ({"p_start_at": "-infinity"}, "p_start_at must be a point in time, not -infinity"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(connection: Connection, arguments: Any, message: str) -> None:
    define(connection, "a")
    with refused(connection, "P0001", message):
        start_runs(connection, 1, 2, **arguments)
    assert count_runs(connection) == 0


# The end of a key


def test_the_key_of_a_pruned_run_is_free_again(connection: Connection) -> None:
    define(connection, "a")
    set_clock(connection, "2020-01-01 00:00:00+00")
    [first] = start_runs(connection, 1, p_keys=["k"], p_tags=["x"])
    finish(connection, first["run_id"], "a")
    set_clock(connection, "2021-01-01 00:00:00+00")
    connection.execute("select pgflow.prune_data_older_than('1 day')")
    assert rows(connection, "select from pgflow.run_tags") == rows(connection, "select from pgflow.run_keys") == []
    [second] = start_runs(connection, 2, p_keys=["k"])
    assert (second["existed"], second["run"]["input"]) == (False, 2)


def test_keys_and_tags_go_with_their_flow(connection: Connection) -> None:
    define(connection, "a")
    define(connection, "a", flow="other")
    for flow in ("flow", "other"):
        start_runs(connection, 1, flow=flow, p_keys=["k"], p_tags=["x"])
    connection.execute("select pgflow.delete_flow_and_data('flow')")
    assert [each["flow_slug"] for each in rows(connection, "select flow_slug from pgflow.run_keys")] == ["other"]
    assert value(connection, "select count(*) from pgflow.run_tags") == 1


def test_keys_and_tags_go_with_a_run_that_was_deleted_by_hand(connection: Connection) -> None:
    define(connection, "a")
    [started] = start_runs(connection, 1, p_keys=["k"], p_tags=["x"])
    for table in ("step_tasks", "step_states", "runs"):
        connection.execute(f"delete from pgflow.{table} where run_id = %s", [started["run_id"]])
    connection.execute("delete from pgmq.q_flow")
    assert not start_runs(connection, 1, p_keys=["k"])[0]["existed"]


# Tags


def test_tags_are_written_once_each(connection: Connection) -> None:
    define(connection, "a")
    started = start_runs(connection, 1, 2, p_tags=["x", "ü", "x", "20 %"])
    assert [tags_of(connection, each["run_id"]) for each in started] == [["20 %", "x", "ü"]] * 2


@pytest.mark.parametrize("tags", [None, [], [str(number % 20) for number in range(30)]])
def test_up_to_twenty_tags_are_fine(connection: Connection, tags: Any) -> None:
    define(connection, "a")
    [started] = start_runs(connection, 1, p_tags=tags)
    assert len(tags_of(connection, started["run_id"])) == len(set(tags or []))


@pytest.mark.parametrize("tag", ["", "x" * 101])
def test_a_tag_has_1_to_100_characters(connection: Connection, tag: str) -> None:
    define(connection, "a")
    assert start_runs(connection, 1, p_tags=["x" * 100])
    with refused(connection, "23514", "tag_is_valid"):
        start_runs(connection, 1, p_tags=[tag])


def test_a_run_without_tags_has_none(connection: Connection) -> None:
    define(connection, "a")
    assert tags_of(connection, start(connection)) == tags_of(connection, IDS[0]) == []


# The time


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("now() + interval '1 hour'", 3600),
        ("'2000-01-01'::timestamptz", 0),
        ("'9999-01-01'::timestamptz", 2**31 - 1),
        ("null", 0),
    ],
)
def test_the_first_tasks_wait_for_the_time_and_the_run_does_not(connection: Connection, at: str, seconds: int) -> None:
    define(connection, "a")
    query = f"select (run).status from pgflow.start_runs('flow', array['1'::jsonb], array['k'], p_start_at => {at})"
    assert value(connection, query) == "started"
    assert [message["seconds"] for message in live(connection)] == [pytest.approx(seconds, abs=5)]
