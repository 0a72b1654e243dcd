"""How many tasks a worker holds, and where it goes on reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgflow.worker.pace import Bookmarks, Pace, PollInterval

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_worker_that_knows_nothing_yet_holds_what_it_runs() -> None:
    assert Pace(10).capacity == 10


def test_fast_handlers_get_a_reserve_that_lasts_for_two_exchanges() -> None:
    pace = Pace(10)
    for _ in range(100):
        pace.handler_took(0.001)
        pace.exchange_took(0.01)
    assert 10 + 180 <= pace.capacity <= 10 + 200


def test_the_reserve_is_bounded() -> None:
    pace = Pace(100)
    pace.handler_took(0)
    for _ in range(100):
        pace.exchange_took(60)
    assert pace.capacity == 100 + Pace.LARGEST_RESERVE


def test_slow_handlers_get_none() -> None:
    pace = Pace(10)
    pace.handler_took(30)
    pace.exchange_took(0.01)
    assert pace.capacity == 10


def test_one_slow_handler_counts_at_once_and_is_forgotten_slowly() -> None:
    pace = Pace(10)
    for _ in range(100):
        pace.exchange_took(0.01)
    pace.handler_took(0.001)
    before = pace.capacity
    pace.handler_took(10)
    assert pace.capacity == 10
    for _ in range(300):
        pace.handler_took(0.001)
    assert pace.capacity >= before - 1


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_worker_runs_at_least_one_handler(concurrency: int) -> None:
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        Pace(concurrency)


@pytest.mark.parametrize(("shortest", "longest"), [(0, 1), (2, 1), (-1, 1)])
def test_poll_intervals_are_positive_and_in_order(shortest: float, longest: float) -> None:
    with pytest.raises(ValueError, match="poll intervals"):
        PollInterval(shortest, longest)


def test_reading_begins_at_the_beginning() -> None:
    assert Bookmarks().positions(["a", "b"]) == [None, None]


def test_reading_goes_on_a_little_before_where_it_came_to() -> None:
    bookmarks = Bookmarks()
    bookmarks.positions(["a"])
    bookmarks.move(["a", "b"], [NOON, None])
    assert bookmarks.positions(["b", "a"]) == [None, NOON - timedelta(seconds=1)]


def test_a_queue_that_was_read_to_its_end_is_read_from_the_beginning() -> None:
    bookmarks = Bookmarks()
    bookmarks.positions(["a"])
    bookmarks.move(["a"], [NOON])
    bookmarks.move(["a"], [None])
    assert bookmarks.positions(["a"]) == [None]


def test_now_and_then_all_queues_are_read_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    bookmarks = Bookmarks()
    bookmarks.positions(["a"])
    bookmarks.move(["a"], [NOON])
    monkeypatch.setattr(Bookmarks, "LONGEST", 0.0)
    assert bookmarks.positions(["a"]) == [None]
