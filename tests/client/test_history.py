"""Events out of what a run looks like now and then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pgflow.events import Event, History
from pgflow.types import RunRow, StepState

START = datetime(2025, 1, 1, tzinfo=UTC)
RUN = RunRow(UUID(int=1), "flow", "started", None, None, 2, START, None, None)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def created(slug: str) -> StepState:
    return StepState(UUID(int=1), "flow", slug, "created", None, 1, 0, None, None, None, START, None, None, None, None)


def started(slug: str, at: float) -> StepState:
    return replace(created(slug), status="started", started_at=after(at), remaining_tasks=1)


def completed(slug: str, began: float, ended: float) -> StepState:
    return replace(started(slug, began), status="completed", completed_at=after(ended), remaining_tasks=0)


def named(events: list[Event]) -> list[str]:
    return [f"{event.event_type} {getattr(event, 'step_slug', '')}".strip() for event in events]


def test_a_step_that_came_and_went_between_two_looks_is_told_with_its_start() -> None:
    history = History()
    assert named(history.advance(RUN, [created("a")])) == ["run:started"]
    assert named(history.advance(RUN, [completed("a", 1, 2)])) == ["step:started a", "step:completed a"]


@pytest.mark.feature("C4.13")
def test_looks_that_repeat_or_go_back_tell_nothing() -> None:
    history = History()
    history.advance(RUN, [completed("a", 1, 2)])
    assert history.advance(RUN, [completed("a", 1, 2)]) == []
    assert history.advance(RUN, [started("a", 1)]) == []
    assert history.advance(RUN, [created("a")]) == []


def test_events_are_in_the_order_of_their_times() -> None:
    steps = [completed("a", 2, 5), completed("b", 1, 3), started("c", 4)]
    assert named(History().advance(RUN, steps)) == [
        "run:started", "step:started b", "step:started a", "step:completed b", "step:started c", "step:completed a"
    ]  # fmt: skip


def test_what_is_simultaneous_is_in_the_order_of_the_steps() -> None:
    steps = [completed("a", 0, 0), completed("b", 0, 0)]
    assert named(History().advance(replace(RUN, status="completed", completed_at=START), steps)) == [
        "run:started", "step:started a", "step:completed a", "step:started b", "step:completed b", "run:completed"
    ]  # fmt: skip


def test_the_end_of_the_run_comes_last_whatever_the_clock_says() -> None:
    run = replace(RUN, status="failed", failed_at=after(1))
    failed = replace(created("a"), status="failed", error_message="no", failed_at=after(9))
    assert named(History().advance(run, [failed])) == ["run:started", "step:failed a", "run:failed"]


def test_a_run_that_failed_without_a_failed_step_has_no_error() -> None:
    *_, ended = History().advance(replace(RUN, status="failed", failed_at=after(1)), [])
    assert (ended.event_type, getattr(ended, "error_message", "")) == ("run:failed", None)


def test_a_status_of_a_newer_core_is_no_event() -> None:
    history = History()
    assert named(history.advance(RUN, [replace(created("a"), status="waiting")])) == ["run:started"]
    assert named(history.advance(replace(RUN, status="paused"), [completed("a", 1, 2)])) == [
        "step:started a",
        "step:completed a",
    ]
