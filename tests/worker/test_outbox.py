"""Batches of reports."""

from __future__ import annotations

from uuid import UUID

from pgflow.types import TaskReport
from pgflow.worker.outbox import LARGEST_BATCH_BYTES, Outbox

RUN = UUID(int=1)


def completion(size: int) -> TaskReport:
    return TaskReport(RUN, "step", 0, 1, output=b"x" * size)


def filled(*reports: TaskReport) -> Outbox:
    outbox = Outbox()
    for report in reports:
        outbox.add(report)
    return outbox


def test_a_batch_is_bounded_in_bytes_of_outputs() -> None:
    reports = [completion(2_000_000) for _ in range(10)]
    assert filled(*reports).take() == reports[:4]


def test_a_batch_is_bounded_in_bytes_of_errors() -> None:
    failures = [TaskReport(RUN, "step", 0, 1, error_message="x" * 3_000_000) for _ in range(10)]
    assert filled(*failures).take() == failures[:2]


def test_a_batch_is_bounded_in_number() -> None:
    reports = [TaskReport(RUN, "step", index, 1, error_message="failed") for index in range(600)]
    assert filled(*reports).take() == reports[:500]


def test_a_report_of_any_size_makes_a_batch() -> None:
    large = completion(40_000_000)
    outbox = filled(large, completion(1))
    assert outbox.take() == [large]
    assert outbox.waiting == 1


def test_outputs_pile_up_when_more_waits_than_fits_into_a_batch() -> None:
    half = completion(LARGEST_BATCH_BYTES // 2)
    outbox = filled(half, half)
    assert not outbox.is_piling_up
    outbox.add(completion(1))
    assert outbox.is_piling_up
    batch = outbox.take()
    assert not outbox.is_piling_up
    outbox.put_back(batch)
    assert outbox.is_piling_up


def test_many_small_outputs_do_not_pile_up() -> None:
    assert not filled(*[completion(10)] * 5_000).is_piling_up
