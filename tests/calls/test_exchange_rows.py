"""What the rows of an exchange are read as."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic_core import to_json

from pgflow import calls
from pgflow.calls import Exchanged
from pgflow.types import EndedRun, SkippedStep, StartedTask

RUN = UUID("0191f3a2-7c5e-7b00-8000-00000000ffff")
NO_TASK = (None,) * 12
TASK = ("flow", RUN, "step", 0, '{"a": 1}', "[1, 2]", 7, 1, 3, 60, 1, 0)


def exchanged(*rows: tuple[Any, ...]) -> Exchanged:
    return calls.exchange_tasks([], {}, 10).decode(rows)


def text(value: object) -> str:
    return to_json(value).decode()


def test_an_answer_without_tasks_has_one_row() -> None:
    found = exchanged(([1, 3], None, None, [None], 0.5, *NO_TASK))
    assert found == Exchanged(recorded=[0, 2], pause=0.5, read_until=[None])


def test_each_row_has_a_task() -> None:
    found = exchanged(([], None, None, [None], None, *TASK), (None, None, None, None, None, *TASK))
    task = StartedTask("flow", RUN, "step", 0, {"a": 1}, [1, 2], 7, 1, 3, 60, 1, 0)
    assert found.tasks == [task, task]


def test_a_task_whose_input_cannot_be_read_fails_and_the_others_do_not() -> None:
    number = "1" * 5000
    unreadable = (*TASK[:4], number, *TASK[5:])
    found = exchanged(([], None, None, [None], None, *unreadable), (None, None, None, None, None, *TASK))
    assert len(found.tasks) == 1
    [report] = found.unreadable
    assert (report.run_id, report.step_slug, report.task_index, report.attempt) == (RUN, "step", 0, 1)
    assert (report.error_message or "").startswith("InvalidInput: not JSON")


def test_runs_that_have_ended_and_steps_that_were_skipped_may_say_more_than_is_known_here() -> None:
    ended = {"seconds": 1, "newer": [1], "run_id": RUN, "flow_slug": "flow", "status": "failed", "error_message": None}
    skipped = {"newer": None, "skip_reason": "unmet", "step_slug": "a", "flow_slug": "flow", "run_id": RUN}
    found = exchanged(([], text([ended, ended]), text([skipped]), [None], None, *NO_TASK))
    assert found.ended_runs == [EndedRun(RUN, "flow", "failed", 1.0, None)] * 2
    assert found.skipped_steps == [SkippedStep(RUN, "flow", "a", "unmet")]
    assert isinstance(found.ended_runs[0].run_id, UUID)


def test_how_many_tasks_came_is_known_before_they_are_read() -> None:
    unreadable = (*TASK[:4], "{", *TASK[5:])
    found = exchanged(([], None, None, [None], None, *unreadable), (None, None, None, None, None, *TASK))
    assert found.count == 2
    assert (len(found.tasks), len(found.unreadable), found.count) == (1, 1, 2)
