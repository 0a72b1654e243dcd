"""The part of the client that cancels and retries runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pgflow import arguments, calls, telemetry
from pgflow._sync.connection import Database
from pgflow.calls import Call
from pgflow.errors import InvalidInput, RunNotFound
from pgflow.types import CancelOutcome, ControlledRun, EndedRun, RetryOutcome

if TYPE_CHECKING:
    from pgflow._sync.handle import Run


class Control:
    """Calls that cancel and retry runs. All of them can be repeated: what is so already is left as it is."""

    database: Database

    def cancel_run(
        self,
        run_id: UUID | str,
        *,
        reason: str | None = None,
        conn: object | None = None,
    ) -> CancelOutcome:
        """Cancel a run and say what that made of it: `cancelled`, `already_cancelled`, or `ended`, by itself, before.

        Nothing more of it is started. Its handlers are told within about a second and nothing counts that they
        report, nor what they write in `ctx.transaction()`. Its status is `failed` from then on, and :class:`RunFailed`
        and the event say that it was cancelled, with the `reason`. :meth:`retry_run` lets it go on. `conn` is as in
        :meth:`start_flow`. Raises RunNotFound, and InvalidInput for a reason of more than 10,000 characters.
        """
        found = arguments.run_id(run_id)
        outcome = (self.cancel_runs([found], reason=reason, conn=conn))[found]
        if outcome == CancelOutcome.NOT_FOUND:
            raise RunNotFound(run_id)
        return outcome

    def cancel_runs(
        self, run_ids: Iterable[Run[Any] | UUID | str], *, reason: str | None = None, conn: object | None = None
    ) -> dict[UUID, CancelOutcome]:
        """Cancel many runs in one transaction and say by run id what that made of each; `not_found` is no error here.

        The rest is as in :meth:`cancel_run`. Raises RunNotFound for a text that is no run id.
        """
        return cancel(self.database, _run_ids(run_ids), reason, conn)

    def retry_run(self, run_id: UUID | str, *, conn: object | None = None) -> RetryOutcome:
        """Let a failed or cancelled run go on and say what that made of it: `retried`, `running` or `completed`.

        What has completed keeps its output. Steps that failed, or were left in the middle, run again with all their
        attempts, but only those tasks of a map that haven't completed. A run that goes on, or has completed, is left
        as it is. `conn` is as in :meth:`start_flow`. Raises RunNotFound.
        """
        found = arguments.run_id(run_id)
        outcome = (self.retry_runs([found], conn=conn))[found]
        if outcome == RetryOutcome.NOT_FOUND:
            raise RunNotFound(run_id)
        return outcome

    def retry_runs(
        self, run_ids: Iterable[Run[Any] | UUID | str], *, conn: object | None = None
    ) -> dict[UUID, RetryOutcome]:
        """Let many runs go on in one transaction and say by run id what that made of each; see :meth:`retry_run`.

        `not_found` is no error here. Raises RunNotFound for a text that is no run id.
        """
        return retry(self.database, _run_ids(run_ids), conn)


def cancel(
    database: Database, run_ids: Sequence[UUID], reason: str | None, conn: object | None = None
) -> dict[UUID, CancelOutcome]:
    """Cancel runs and tell of those that this has ended."""
    outcomes = _control(database, calls.cancel_runs(run_ids, arguments.reason(reason)), conn)
    return {run_id: CancelOutcome(outcomes[run_id]) for run_id in run_ids}


def retry(database: Database, run_ids: Sequence[UUID], conn: object | None = None) -> dict[UUID, RetryOutcome]:
    """Let runs go on and tell of those that failed until now."""
    outcomes = _control(database, calls.retry_runs(run_ids), conn)
    return {run_id: RetryOutcome(outcomes[run_id]) for run_id in run_ids}


def _control(database: Database, call: Call[list[ControlledRun]], conn: object | None) -> dict[UUID, str]:
    controlled = database.run(call, conn)
    if conn is None:  # else nobody knows whether it will be committed
        for run in controlled:
            _tell(run)
    return {run.run_id: run.outcome for run in controlled}


def _run_ids(values: Iterable[Run[Any] | UUID | str]) -> list[UUID]:
    if isinstance(values, str | UUID) or not isinstance(values, Iterable):
        raise InvalidInput(f"run_ids is a list of run ids, not {values!r}")
    found: list[Any] = [getattr(value, "run_id", value) for value in values]
    return list(dict.fromkeys(map(arguments.run_id, found)))


def _tell(run: ControlledRun) -> None:
    if run.flow_slug is not None and run.outcome == RetryOutcome.RETRIED:
        telemetry.tell_of_retry(run.flow_slug, run.run_id)
    if run.flow_slug is not None and run.status is not None:
        telemetry.tell_of_end(EndedRun(run.run_id, run.flow_slug, run.status, run.seconds or 0, run.error_message))
