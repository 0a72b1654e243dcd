"""Everything this package raises.

::

    PgFlowError
    ├── DefinitionError        a flow is declared wrongly; lists every problem
    ├── InvalidInput           a value can't be stored, or isn't what the flow takes
    ├── FlowNotFound           no such flow in the database
    ├── RunNotFound            no such run, or not a run id at all
    ├── StepNotFound           the flow or run has no such step
    ├── RunFailed              the run that was waited for failed or was cancelled; carries the run
    ├── WaitTimeout            the run didn't end in time; it goes on
    ├── FlowShapeMismatch      code and database disagree about a flow; lists the differences
    ├── SchemaError
    │   ├── NotInstalled       no schema `pgflow`, or no pgmq, in this database
    │   ├── TooOld             the schema is older than this package
    │   ├── TooNew             the schema is newer than this package
    │   ├── Drifted            an applied migration differs from the packaged one
    │   └── NotGranted         the role lacks a right; says who can give it
    ├── ConnectionLost         the database can't be reached, or went away
    ├── UnusableConnection     the caller's own connection is in no state to be used
    ├── TransactionFailed      what a handler did in ctx.transaction() can't be committed
    └── raised by handlers, to say what becomes of their task
        ├── Retry              this attempt failed; the next one at a chosen time
        ├── NonRetryable       the task failed, whatever attempts are left
        └── Snooze             not now: the task comes back later and no attempt is used up

Database errors cross as SQLSTATE and constraint names and meet this tree in :func:`translate`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from psycopg import errors as sqlstate

if TYPE_CHECKING:
    from pgflow.types import RunRow


class PgFlowError(Exception):
    """Root of all errors of this package."""


class DefinitionError(PgFlowError):
    """A flow is declared wrongly.

    `problems` holds one text per problem found, in the order of the declaration; `codes`, for flows that are plain
    data, a word for each.
    """

    def __init__(self, problems: Sequence[str] | str, codes: Sequence[str] = ()) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        self.codes = tuple(codes)
        super().__init__("; ".join(self.problems))


class InvalidInput(PgFlowError):
    """A value can't be stored as JSON, or isn't what the flow takes."""


class FlowNotFound(PgFlowError):
    """The database has no flow of this slug."""

    def __init__(self, flow_slug: str) -> None:
        self.flow_slug = flow_slug
        super().__init__(f"flow {flow_slug!r} is not in the database; register it with `pgflow compile APP`")


class RunNotFound(PgFlowError):
    """The database has no run of this id or key, which is in `run_id`; also raised for a text that is no run id."""

    def __init__(self, run_id: object, message: str | None = None) -> None:
        self.run_id = run_id
        super().__init__(message or f"no run {run_id}")


class StepNotFound(PgFlowError):
    """The flow or run has no step of this slug."""

    def __init__(self, step_slug: str, known: Sequence[str] = ()) -> None:
        self.step_slug = step_slug
        super().__init__(f"no step {step_slug!r}" + (f"; steps: {', '.join(known)}" if known else ""))


class RunFailed(PgFlowError):
    """The run that was waited for failed, or was cancelled.

    `run` is the failed run; `step_slug` and `error_message` name the step that failed it, where known. Where it was
    cancelled, `error_message` is the reason given.
    """

    def __init__(self, run: RunRow, step_slug: str | None = None, error_message: str | None = None) -> None:
        self.run = run
        self.step_slug = step_slug
        self.error_message = run.cancel_reason if self.cancelled else error_message
        what = "was cancelled" if self.cancelled else "failed"
        where = f" in step {step_slug!r}" if step_slug else ""
        why = f": {self.error_message}" if self.error_message else ""
        super().__init__(f"run {run.run_id} of flow {run.flow_slug!r} {what}{where}{why}")

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.run.cancelled_at is not None


class WaitTimeout(PgFlowError):
    """The run didn't end within the time given; it goes on and can be waited for again."""

    def __init__(self, run_id: UUID, timeout: float) -> None:
        self.run_id = run_id
        self.timeout = timeout
        super().__init__(f"run {run_id} did not end within {timeout:g} s; it goes on, wait again or look at it")


class FlowShapeMismatch(PgFlowError):
    """The flow in the code and the one in the database have different shapes; nothing was changed.

    `differences` holds one text per difference, code first, database second.
    """

    def __init__(self, flow_slug: str, differences: Sequence[str]) -> None:
        self.flow_slug = flow_slug
        self.differences = tuple(differences)
        super().__init__(
            f"flow {flow_slug!r} differs from the database: {'; '.join(self.differences)}. "
            "Give the changed flow a new slug, or delete the old one with its runs: allow_data_loss=True, "
            "or `pgflow compile APP --allow-data-loss`"
        )


class SchemaError(PgFlowError):
    """The database isn't ready for this version of the package."""


class NotInstalled(SchemaError):
    """Schema `pgflow`, or pgmq, is missing from the database."""

    def __init__(self, message: str = "this database has no pgflow schema; run `pgflow migrate`") -> None:
        super().__init__(message)


class TooOld(SchemaError):
    """The schema is older than this package."""


class TooNew(SchemaError):
    """The schema is newer than this package."""


class Drifted(SchemaError):
    """A migration recorded as applied differs from the one in this package."""


class NotGranted(SchemaError):
    """The role lacks a right that the call needs."""


class ConnectionLost(PgFlowError):
    """The database can't be reached, or the connection broke."""


class UnusableConnection(PgFlowError):
    """The connection given as `conn` is in no state to be used: closed, in a failed transaction, no PostgreSQL."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the connection given as conn can't be used: {reason}")


class TransactionFailed(PgFlowError):
    """What a handler did in `ctx.transaction()` can't be committed, so its task isn't completed either."""


class Retry(PgFlowError):
    """Raise it in a handler: this attempt failed, and the next one is due `after` so many seconds.

    `after` takes the place of the delay by the formula; it is a number of seconds, fractions are rounded up, or a
    timedelta. An attempt is used up, so on the last one the task has failed. Raises TypeError for anything else, and
    ValueError for what is negative, no number, or more than 68 years. ::

        raise Retry(after=30) from error
    """

    def __init__(self, after: float | timedelta, message: str = "") -> None:
        self.after = _whole_seconds(after, "Retry(after=…)")
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.args[0] or 'asked for'}, again in {self.after} s"


class NonRetryable(PgFlowError):
    """Raise it in a handler: the task has failed, whatever attempts are left."""


class Snooze(PgFlowError):
    """Raise it in a handler: put the task back for so many seconds; no attempt is used up, so it may go on for ever.

    Takes and refuses what :class:`Retry` does.
    """

    def __init__(self, seconds: float | timedelta) -> None:
        self.seconds = _whole_seconds(seconds, "Snooze(…)")
        super().__init__(f"for {self.seconds} s")


def _whole_seconds(value: float | timedelta, place: str) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{place} takes seconds or a timedelta, not {value!r}")
    if not 0 <= seconds <= _MOST_SECONDS:  # NaN neither
        raise ValueError(f"{place} takes 0 to {_MOST_SECONDS} seconds, not {value!r}")
    return math.ceil(seconds)


_MOST_SECONDS = 2_147_483_647
_MISSING_OBJECTS = (
    sqlstate.InvalidSchemaName.sqlstate,
    sqlstate.UndefinedTable.sqlstate,
    sqlstate.UndefinedFunction.sqlstate,
    sqlstate.UndefinedColumn.sqlstate,
)
_QUEUE_TABLE = re.compile(r"pgmq\.q_(\w+)")
_REFUSED_VALUES = (
    sqlstate.UntranslatableCharacter.sqlstate,
    sqlstate.InvalidTextRepresentation.sqlstate,
    sqlstate.ProgramLimitExceeded.sqlstate,
    sqlstate.CharacterNotInRepertoire.sqlstate,
    sqlstate.NumericValueOutOfRange.sqlstate,
)
_LOST_CONNECTIONS = ("080", "08P", "57P")
"""Classes of SQLSTATE: connection exceptions, and what ends a session. A cancelled statement, 57014, doesn't."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the server says about an error, whichever driver brought it."""

    sqlstate: str | None
    message: str
    detail: str | None = None
    constraint_name: str | None = None


def translate(error: psycopg.Error) -> Exception:
    """Return the error of this package that stands for an error of psycopg, or that error itself.

    Only what a user can act on is translated: a missing flow, an input that the flow or jsonb refuses, a missing
    schema or privilege, a lost connection. The rest is a defect and keeps its own type.
    """
    diagnostic = error.diag
    message = diagnostic.message_primary or str(error)
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return ConnectionLost(" ".join(message.split()))
    found = meaning(Diagnosis(error.sqlstate, message, diagnostic.message_detail, diagnostic.constraint_name))
    return found or error


def meaning(said: Diagnosis) -> PgFlowError | None:
    """Return the error of this package for what the server says, or None for a defect."""
    message = said.message
    match said.sqlstate:
        case sqlstate.ForeignKeyViolation.sqlstate if said.constraint_name == "runs_flow_slug_fkey":
            return FlowNotFound(_value_in(said.detail))
        case sqlstate.RaiseException.sqlstate if "has root map steps but input is" in message:
            return InvalidInput(f"{message}; pass a JSON array")
        case sqlstate.RaiseException.sqlstate if "would share its queue with flow" in message:
            return DefinitionError(f"{message}; choose a slug that differs in more than case", ["invalid_slug"])
        case sqlstate.UniqueViolation.sqlstate if said.constraint_name in ("runs_pkey", "run_keys_run_id_key"):
            return InvalidInput(f"run id {_value_in(said.detail)} is already in use; pass another one")
        case sqlstate.InsufficientPrivilege.sqlstate:
            return NotGranted(
                f"{message}; connect as the owner of schema pgflow, who can also grant what others need: "
                "select pgflow.grant_worker('ROLE') or pgflow.grant_starter('ROLE')"
            )
        case sqlstate.ReadOnlySqlTransaction.sqlstate:
            return SchemaError(f"{message}; connect to the primary, in a session that may write")
        case sqlstate.UndefinedTable.sqlstate if queue := _QUEUE_TABLE.search(message):
            return SchemaError(
                f"{message}: the queue of a flow was dropped; make it anew with `select pgmq.create('{queue[1]}')`"
            )
        case code if code in _MISSING_OBJECTS:
            return NotInstalled(f"{message}; run `pgflow migrate`")
        case code if code in _REFUSED_VALUES:
            return InvalidInput(f"PostgreSQL refused the value: {message}")
        case str() as code if code.startswith(_LOST_CONNECTIONS):
            return ConnectionLost(" ".join(message.split()))
        case _:
            return None


def _value_in(detail: str | None) -> str:
    """Return the key's value from PostgreSQL's `Key (column)=(value) …`."""
    if detail is None or "=(" not in detail:
        return "?"
    return detail.split("=(", 1)[1].rpartition(")")[0]
