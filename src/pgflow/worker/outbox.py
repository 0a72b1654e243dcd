"""Reports on their way to the database."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pgflow.types import TaskReport

_LARGEST_BATCH = 500
LARGEST_BATCH_BYTES = 8 * 1024 * 1024
"""Of outputs in one statement: 500 of 16 kB. Larger batches are no faster, and psycopg and the server copy them several
times."""


class Outbox:
    """Keeps reports until the database has taken them, or has refused them for good.

    A report may be delivered twice, when the connection broke after it was taken: the attempt it carries makes that
    harmless.
    """

    def __init__(self) -> None:
        self._reports: list[TaskReport] = []
        self._underway: list[list[TaskReport]] = []

    def __len__(self) -> int:
        return len(self._reports) + sum(map(len, self._underway))

    @property
    def waiting(self) -> int:
        """How many reports nobody has taken yet."""
        return len(self._reports)

    @property
    def is_piling_up(self) -> bool:
        """Whether more waits than fits into another batch by its bytes, so that no more outputs should be made."""
        return sum(map(_size, self._reports)) > LARGEST_BATCH_BYTES

    def undelivered(self) -> list[TaskReport]:
        """Return all reports that the database may not have."""
        return [*itertools.chain.from_iterable(self._underway), *self._reports]

    def add(self, report: TaskReport) -> None:
        """Take a report for the next delivery."""
        self._reports.append(report)

    def take(self) -> list[TaskReport]:
        """Return the next batch to be delivered; :meth:`forget` or :meth:`put_back` says what became of it."""
        batch = first_batch(self._reports)
        del self._reports[: len(batch)]
        self._underway.append(batch)
        return batch

    def forget(self, batch: list[TaskReport]) -> None:
        """Forget a batch that the database has."""
        self._underway = [other for other in self._underway if other is not batch]

    def put_back(self, batch: list[TaskReport]) -> None:
        """Keep a batch for another delivery."""
        self.forget(batch)
        self._reports[:0] = batch


def first_batch(reports: Sequence[TaskReport]) -> list[TaskReport]:
    """Return as many of the first reports as go into one statement, one at least."""
    batch: list[TaskReport] = []
    size = 0
    for report in reports[:_LARGEST_BATCH]:
        size += _size(report)
        if batch and size > LARGEST_BATCH_BYTES:
            break
        batch.append(report)
    return batch


def _size(report: TaskReport) -> int:
    return len(report.output or report.error_message or b"")
