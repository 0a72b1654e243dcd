"""A run as a value with verbs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from math import isnan
from typing import TYPE_CHECKING, Any, Generic, Self, cast
from uuid import UUID

from pgflow import calls, telemetry
from pgflow._sync import control
from pgflow.errors import ConnectionLost, RunFailed, StepNotFound, WaitTimeout
from pgflow.events import Event, History
from pgflow.flow import Flow, OutputT
from pgflow.listening import PATIENCE_SECONDS
from pgflow.types import Json, RunRow, RunStatus, StepProgress, StepState, StepStatus

if TYPE_CHECKING:
    from pgflow._sync.connection import Database

_PAUSE_IN_OUTAGE = 0.5


class Run(Generic[OutputT]):
    """A run as it was when it was last read, with the calls that concern it.

    Attributes are the columns of `pgflow.runs`; :meth:`refresh`, :meth:`wait` and :meth:`result` read them anew.
    """

    def __init__(
        self,
        database: Database,
        row: RunRow,
        steps: tuple[StepState, ...] = (),
        *,
        flow: Flow[Any, OutputT] | None = None,
        existed: bool = False,
        mark: int | None = None,
    ) -> None:
        self._database = database
        self._mark = mark
        self._flow = flow
        self.row = row
        self.steps = steps
        """States of the steps, in the order of definition; empty when they weren't read."""
        self.existed = existed
        """Whether a start has found this run by its key, instead of starting another."""

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self.flow_slug}: {self.status}>"

    @property
    def run_id(self) -> UUID:
        """Id of the run."""
        return self.row.run_id

    @property
    def flow_slug(self) -> str:
        """Slug of its flow."""
        return self.row.flow_slug

    @property
    def status(self) -> str:
        """One of :class:`pgflow.types.RunStatus`."""
        return self.row.status

    @property
    def input(self) -> Json:
        """What the run was started with."""
        return self.row.input

    @property
    def output(self) -> Json:
        """Outputs of the completed leaf steps by slug; None until the run completes."""
        return self.row.output

    @property
    def remaining_steps(self) -> int:
        """Number of steps neither completed nor skipped."""
        return self.row.remaining_steps

    @property
    def started_at(self) -> datetime:
        """When it was started."""
        return self.row.started_at

    @property
    def completed_at(self) -> datetime | None:
        """When it completed, if it did."""
        return self.row.completed_at

    @property
    def failed_at(self) -> datetime | None:
        """When it failed, if it did."""
        return self.row.failed_at

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled; its status is `failed` then."""
        return self.row.cancelled_at is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why it was cancelled, if somebody has said so."""
        return self.row.cancel_reason

    def step(self, step_slug: str) -> StepState:
        """Return the state of a step. Raises StepNotFound when there is none, or the states weren't read."""
        for state in self.steps:
            if state.step_slug == step_slug:
                return state
        raise StepNotFound(step_slug, [state.step_slug for state in self.steps])

    def refresh(self) -> Self:
        """Read the run and its steps anew and return it. Raises RunNotFound when it was deleted."""
        self.row, self.steps = self._database.run(calls.get_run_with_states(self.run_id))
        return self

    def cancel(self, *, reason: str | None = None) -> Self:
        """Cancel the run, as `cancel_run` of a client does, and return it as it is then; what has ended stays so."""
        control.cancel(self._database, [self.run_id], reason)
        return self.refresh()

    def retry(self) -> Self:
        """Let the run go on if it failed, as `retry_run` of a client does, and return it as it is then."""
        control.retry(self._database, [self.run_id])
        return self.refresh()

    def read_progress(self) -> dict[str, StepProgress]:
        """Count the tasks of each step by status, now; a step without tasks has no key."""
        return self._database.run(calls.get_step_progress(self.run_id))

    def read_tags(self) -> tuple[str, ...]:
        """Return the tags that the run was started with, in their order."""
        return self._database.run(calls.get_run_tags(self.run_id))

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the run has completed or failed, at most `timeout` seconds (default: for ever), and return it.

        However short that is, the run is looked at once: `wait(0)` returns a run that has ended, and doesn't wait.
        Raises WaitTimeout; the run then goes on. Raises RunNotFound when it is deleted meanwhile, and ConnectionLost
        when the database was gone for a minute.
        """
        _check_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.row.ended:
                found = self._read_patiently()
            else:
                left = None if deadline is None else deadline - time.monotonic()
                ended = self._database.watcher.ended(self.run_id, left, self._mark)
                if ended is None:
                    assert timeout is not None
                    raise WaitTimeout(self.run_id, timeout)
                found = ended
            self.row, self.steps = found
            if self.row.ended:  # else it was retried meanwhile
                return self

    def result(self, timeout: float | None = None) -> OutputT:
        """Wait for the run and return its output: the outputs of the completed leaf steps by slug.

        It is of the type that the flow names, where the run was started with a flow that names one. Raises RunFailed,
        with the error of the step that failed it, or `cancelled`, WaitTimeout, and InvalidInput for an output that
        isn't of the type.
        """
        self.wait(timeout)
        if self.status != RunStatus.COMPLETED:
            failed = next((step for step in self.steps if step.status == StepStatus.FAILED), None)
            if failed is None:
                raise RunFailed(self.row)
            raise RunFailed(self.row, failed.step_slug, failed.error_message)
        return cast("OutputT", self.output) if self._flow is None else self._flow.read_output(self.output)

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Tell what happens in the run, from its start, whenever that was, to its end; see :mod:`pgflow.events`.

        ::

            for event in run.events():
                match event:
                    case StepCompletedEvent(step_slug="summary", output=text):
                        print(text)

        Nothing is left out and nothing is told twice. Raises WaitTimeout when the run hasn't ended within `timeout`
        seconds (default: no limit), RunNotFound when it is deleted meanwhile, and ConnectionLost when the database was
        gone for a minute.
        """
        _check_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        history = History()
        with self._database.watcher.changes(self.run_id) as changes:
            while True:
                run, steps = self._read_patiently()
                for event in history.advance(run, steps):
                    yield event
                if run.ended:
                    return
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    assert timeout is not None
                    raise WaitTimeout(self.run_id, timeout)
                changes.next(left)

    def _read_patiently(self) -> tuple[RunRow, tuple[StepState, ...]]:
        """Read the run, if need be when the database is back."""
        patient_until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._database.run(calls.get_run_with_states(self.run_id))
            except ConnectionLost:
                if time.monotonic() > patient_until:
                    raise
                time.sleep(_PAUSE_IN_OUTAGE)


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and isnan(timeout):
        raise ValueError("timeout must be a number of seconds, or None for no limit")


def started_run(
    database: Database,
    flow: Flow[Any, Any] | str,
    row: RunRow,
    conn: object | None,
    *,
    existed: bool,
    mark: int | None,
) -> Run[Any]:
    """Return the handle of a run that was started, on `conn` where it isn't None, and tell of it unless it existed.

    `mark` is what the watcher gave before the start.
    """
    if conn is None and not existed:  # on conn nobody knows whether it will be committed
        telemetry.tell_of_start(row)
    of_flow = flow if isinstance(flow, Flow) else None
    # On conn the run is committed at any time, and one that existed was started before: both are looked at at once.
    return Run(database, row, flow=of_flow, existed=existed, mark=None if existed or conn is not None else mark)
