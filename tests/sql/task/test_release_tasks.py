"""`release_tasks` and `release_lost_tasks`: tasks given back without an attempt used."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    OTHER_WORKER,
    UNKNOWN,
    WORKER,
    Connection,
    RunId,
    complete_batch,
    define,
    exhaust,
    fetch,
    live,
    release,
    rows,
    run,
    snapshot,
    start,
    task,
    tasks,
    value,
)


@pytest.fixture
def working(connection: Connection) -> RunId:
    """A run whose map has three started tasks."""
    define(connection, "m*")
    run_id = start(connection, [1, 2, 3])
    fetch(connection)
    return run_id


def release_lost(connection: Connection, *known: tuple[RunId, str, int, int]) -> list[int]:
    """Give back what the worker has but doesn't know of."""
    columns: list[list[Any]] = [[key[place] for key in known] for place in range(4)]
    query = "select pgflow.release_lost_tasks(%s, %s::uuid[], %s::text[], %s::int[], %s::int[])"
    released = value(connection, query, [WORKER], *columns)
    assert isinstance(released, list)
    return released


def test_a_released_task_can_be_started_at_once_with_the_same_attempt(connection: Connection, working: RunId) -> None:
    assert release(connection, (working, "m", 1, 0, 1)) == [1]
    given_back = task(connection, working, "m", 1)
    assert (given_back["status"], given_back["attempts_count"]) == ("queued", 0)
    assert (given_back["started_at"], given_back["last_worker_id"]) == (None, None)
    [again] = fetch(connection, worker=OTHER_WORKER)
    assert (again["task_index"], again["attempt"]) == (1, 1)


def test_it_stays_away_for_its_delay(connection: Connection, working: RunId) -> None:
    release(connection, (working, "m", 0, 60, 1), (working, "m", 1, None, 1))
    assert [found["task_index"] for found in fetch(connection)] == [1]
    [delayed] = rows(
        connection,
        "select extract(epoch from q.vt - clock_timestamp())::int as seconds from pgmq.q_flow q"
        " join pgflow.step_tasks t on t.message_id = q.msg_id and t.task_index = 0",
    )
    assert 58 <= delayed["seconds"] <= 60


def test_only_the_named_attempt_is_released(connection: Connection, working: RunId) -> None:
    before = snapshot(connection)
    assert release(connection, (working, "m", 0, 0, 2), (UNKNOWN, "m", 0, 0, 1), (working, "m", 9, 0, 1)) == []
    assert snapshot(connection) == before


def test_a_release_that_is_sent_twice_does_not_take_the_task_from_its_next_worker(
    connection: Connection, working: RunId
) -> None:
    release(connection, (working, "m", 0, 0, 1), worker_ids=[WORKER])
    fetch(connection, worker=OTHER_WORKER)
    assert release(connection, (working, "m", 0, 0, 1), worker_ids=[WORKER]) == []
    assert task(connection, working, "m", 0)["status"] == "started"


def test_a_report_of_a_released_task_does_not_count(connection: Connection, working: RunId) -> None:
    release(connection, (working, "m", 0, 0, 1))
    assert complete_batch(connection, (working, "m", 0, "late", 1)) == []
    assert task(connection, working, "m", 0)["status"] == "queued"


def test_a_completed_task_is_not_released(connection: Connection, working: RunId) -> None:
    complete_batch(connection, (working, "m", 0, "done", 1))
    assert release(connection, (working, "m", 0, 0, 1)) == []


def test_tasks_of_a_failed_run_are_not_released(connection: Connection, working: RunId) -> None:
    exhaust(connection, working, "m", index=0)
    assert run(connection, working)["status"] == "failed"
    assert release(connection, (working, "m", 1, 0, 1)) == []
    assert live(connection) == []


def test_a_negative_delay_is_none(connection: Connection, working: RunId) -> None:
    release(connection, (working, "m", 0, -5, 1))
    assert len(fetch(connection)) == 1


def test_what_a_worker_does_not_know_of_is_given_back(connection: Connection, working: RunId) -> None:
    assert len(release_lost(connection, (working, "m", 0, 1))) == 2
    assert [found["status"] for found in tasks(connection, working)] == ["started", "queued", "queued"]
    assert [found["attempts_count"] for found in tasks(connection, working)] == [1, 0, 0]


def test_nothing_is_given_back_that_is_known_or_belongs_to_others(connection: Connection, working: RunId) -> None:
    release(connection, (working, "m", 2, 0, 1))
    fetch(connection, worker=OTHER_WORKER)
    assert release_lost(connection, (working, "m", 0, 1), (working, "m", 1, 1)) == []
    assert task(connection, working, "m", 2)["last_worker_id"] == OTHER_WORKER


def test_an_attempt_that_is_not_known_is_given_back_although_the_one_before_is(
    connection: Connection, working: RunId
) -> None:
    report = (working, "m", 0, "boom", 1)
    known = [(working, "m", index, 1) for index in range(3)]
    query = "select pgflow.fail_tasks(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[], null, array[0])"
    connection.execute(query, [[column] for column in report])
    assert [found["attempt"] for found in fetch(connection)] == [2]
    assert len(release_lost(connection, *known)) == 1
    given_back = task(connection, working, "m", 0)
    assert (given_back["status"], given_back["attempts_count"]) == ("queued", 1)
