"""Which flows a worker asks for tasks, and for how many, as a function of how large they are."""

from __future__ import annotations

from uuid import UUID

import pytest

from pgflow.types import StartedTask
from pgflow.worker.demand import LARGEST_RESERVE_BYTES, Appetite, Demand, Sizes
from pgflow.worker.pace import Pace

CONCURRENCY = 10
MEGABYTE = 1024 * 1024
FULL = CONCURRENCY + Pace.LARGEST_RESERVE


def sizes(**flows: int | tuple[int, int]) -> Sizes:
    """Return what is known when a task of each flow has ended whose input, and output, was so long."""
    known = Sizes()
    for flow_slug, size in flows.items():
        arrived, ended = size if isinstance(size, tuple) else (size, 0)
        meet(known, flow_slug, arrived, ended)
    return known


def meet(known: Sizes, flow_slug: str, input_size: int, output_size: int = 0) -> None:
    task = StartedTask(flow_slug, UUID(int=1), "step", 0, None, None, 1, 1, 3, 60, 1, 0, input_size)
    known.arrived(task)
    known.ended(task, b"x" * output_size)


def appetite(known: Sizes) -> Appetite:
    """Return the appetite of a worker whose handlers are so quick that it would hold as many tasks as it may."""
    pace = Pace(CONCURRENCY)
    pace.handler_took(0)
    for _ in range(100):
        pace.exchange_took(60)
    return Appetite(pace, known)


def room(known: Sizes, *, held: int = 0, waiting_bytes: int = 0) -> int:
    """Return how many tasks are asked for of the only flow."""
    return appetite(known).demand(["flow"], held, waiting_bytes).room


def test_a_worker_that_has_met_no_task_asks_for_what_it_runs() -> None:
    assert Appetite(Pace(CONCURRENCY), Sizes()).demand(["flow"], 0, 0) == Demand(["flow"], CONCURRENCY)


def test_small_tasks_fill_the_reserve() -> None:
    assert room(sizes(flow=4_000)) == FULL
    assert room(sizes(flow=0)) == FULL


@pytest.mark.parametrize(("megabytes", "reserve"), [(0.5, 8), (1, 4), (2, 2), (4, 1), (100, 1)])
def test_large_inputs_leave_a_reserve_of_a_few_megabytes(megabytes: float, reserve: int) -> None:
    assert room(sizes(flow=int(megabytes * MEGABYTE))) == CONCURRENCY + reserve


def test_large_outputs_count_like_large_inputs() -> None:
    assert room(sizes(flow=(10, MEGABYTE))) == CONCURRENCY + 4
    assert room(sizes(flow=(2 * MEGABYTE, MEGABYTE))) == CONCURRENCY + 2


def test_what_waits_already_takes_its_place() -> None:
    assert room(sizes(flow=MEGABYTE), held=CONCURRENCY + 3, waiting_bytes=3 * MEGABYTE) == 1
    assert room(sizes(flow=MEGABYTE), held=CONCURRENCY + 4, waiting_bytes=LARGEST_RESERVE_BYTES) == 0


def test_places_of_handlers_are_filled_whatever_waits() -> None:
    assert room(sizes(flow=MEGABYTE), held=CONCURRENCY - 1, waiting_bytes=100 * MEGABYTE) == 1


def test_one_large_input_counts_at_once_and_is_forgotten_slowly() -> None:
    known = sizes(flow=100)
    meet(known, "flow", MEGABYTE)
    assert room(known) == CONCURRENCY + 4
    for _ in range(20):
        meet(known, "flow", 100)
    assert CONCURRENCY + 4 < room(known) < FULL
    for _ in range(100):
        meet(known, "flow", 100)
    assert room(known) == FULL


def test_slow_handlers_get_no_reserve_however_small_their_tasks() -> None:
    pace = Pace(CONCURRENCY)
    pace.handler_took(30)
    assert Appetite(pace, sizes(flow=1)).demand(["flow"], CONCURRENCY, 0) == Demand()


def test_of_a_flow_that_is_not_known_yet_one_task_is_held_in_reserve() -> None:
    assert room(sizes(other=1)) == CONCURRENCY + 1


def test_nothing_is_asked_for_without_flows() -> None:
    assert appetite(sizes(flow=1)).demand([], 0, 0) == Demand()


def test_flows_of_small_tasks_are_asked_together_for_as_many_as_there_is_room_for() -> None:
    hungry = appetite(sizes(first=1, second=2))
    for _ in range(8):
        demand = hungry.demand(["second", "first"], 0, 0)
        assert (demand.flow_slugs, demand.room, demand.is_partial) == (["second", "first"], FULL, False)
        hungry.answered(demand, FULL)


def test_a_small_flow_isn_t_held_back_by_a_large_one_nor_the_other_way_round() -> None:
    hungry = appetite(sizes(huge=MEGABYTE, tiny=10))
    demands = []
    for _ in range(8):
        demand = hungry.demand(["tiny", "huge"], CONCURRENCY, 0)
        demands.append(demand)
        hungry.answered(demand, demand.room)
    for_all = Demand(["huge", "tiny"], 4, size=4 * MEGABYTE)
    for_tiny = Demand(["tiny"], Pace.LARGEST_RESERVE, is_partial=True, size=10 * Pace.LARGEST_RESERVE)
    assert demands == [for_all, for_tiny, for_tiny, for_tiny] * 2


def test_after_an_answer_that_was_not_full_all_flows_are_asked() -> None:
    hungry = appetite(sizes(huge=MEGABYTE, tiny=10))
    hungry.answered(hungry.demand(["huge", "tiny"], 0, 0), CONCURRENCY + 4)
    partial = hungry.demand(["huge", "tiny"], 0, 0)
    assert partial.is_partial
    hungry.answered(partial, 3)
    assert hungry.demand(["huge", "tiny"], 0, 0) == Demand(["huge", "tiny"], CONCURRENCY + 4, size=4 * MEGABYTE)


def test_a_flow_without_room_is_not_asked_and_does_not_count_as_left_out() -> None:
    hungry = appetite(sizes(huge=MEGABYTE, tiny=10))
    demand = hungry.demand(["huge", "tiny"], CONCURRENCY, LARGEST_RESERVE_BYTES - 5)
    assert (demand.flow_slugs, demand.room, demand.is_partial) == (["huge", "tiny"], 1, False)
    assert hungry.demand(["huge", "tiny"], CONCURRENCY, LARGEST_RESERVE_BYTES) == Demand()


def test_a_report_without_tasks_asked_for_teaches_nothing() -> None:
    hungry = appetite(sizes(huge=MEGABYTE, tiny=10))
    for _ in range(3):
        hungry.answered(Demand(), 0)
    assert hungry.demand(["huge", "tiny"], 0, 0).room == CONCURRENCY + 4


def test_two_exchanges_at_once_do_not_ask_for_twice_as_much() -> None:
    hungry = appetite(sizes(flow=MEGABYTE))
    first = hungry.demand(["flow"], CONCURRENCY, 0)
    assert (first.room, first.size) == (4, 4 * MEGABYTE)
    assert hungry.demand(["flow"], CONCURRENCY + first.room, first.size) == Demand()


def test_what_fills_the_places_of_handlers_does_not_wait() -> None:
    assert appetite(sizes(flow=MEGABYTE)).demand(["flow"], 0, LARGEST_RESERVE_BYTES) == Demand(["flow"], CONCURRENCY)
