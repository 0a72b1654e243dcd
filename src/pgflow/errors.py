"""Everything this package raises.

::

    PgFlowError
    ├── DefinitionError        a flow is declared wrongly; lists every problem
    ├── InvalidInput           a value can't be stored, or isn't what the flow takes
    ├── FlowNotFound           no such flow in the database
    ├── RunNotFound            no such run, or not a run id at all
    ├── StepNotFound           the flow or run has no such step
    ├── RunFailed              the run that was waited for failed; carries the run
    ├── WaitTimeout            the run didn't end in time; it goes on
    ├── FlowShapeMismatch      code and database disagree about a flow; lists the differences
    ├── SchemaError
    │   ├── NotInstalled       no schema `pgflow`, or no pgmq, in this database
    │   ├── TooOld             the schema is older than this package
    │   ├── TooNew             the schema is newer than this package
    │   └── Drifted            an applied migration differs from the packaged one
    └── ConnectionLost         the database can't be reached, or went away

Database errors cross as SQLSTATE and constraint names and meet this tree in :func:`translate`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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

    `problems` holds one text per problem found, in the order of the declaration.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


class InvalidInput(PgFlowError):
    """A value can't be stored as JSON, or isn't what the flow takes."""


class FlowNotFound(PgFlowError):
    """The database has no flow of this slug."""

    def __init__(self, flow_slug: str) -> None:
        self.flow_slug = flow_slug
        super().__init__(f"flow {flow_slug!r} is not in the database; register it with `pgflow compile APP`")


class RunNotFound(PgFlowError):
    """The database has no run of this id; also raised for a text that is no run id."""

    def __init__(self, run_id: object) -> None:
        self.run_id = run_id
        super().__init__(f"no run {run_id}")


class StepNotFound(PgFlowError):
    """The flow or run has no step of this slug."""

    def __init__(self, step_slug: str, known: Sequence[str] = ()) -> None:
        self.step_slug = step_slug
        super().__init__(f"no step {step_slug!r}" + (f"; steps: {', '.join(known)}" if known else ""))


class RunFailed(PgFlowError):
    """The run that was waited for failed.

    `run` is the failed run; `step_slug` and `error_message` name the step that failed it, where known.
    """

    def __init__(self, run: RunRow, step_slug: str | None = None, error_message: str | None = None) -> None:
        self.run = run
        self.step_slug = step_slug
        self.error_message = error_message
        where = f" in step {step_slug!r}" if step_slug else ""
        why = f": {error_message}" if error_message else ""
        super().__init__(f"run {run.run_id} of flow {run.flow_slug!r} failed{where}{why}")


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


class ConnectionLost(PgFlowError):
    """The database can't be reached, or the connection broke."""


_MISSING_OBJECTS = (
    sqlstate.InvalidSchemaName,
    sqlstate.UndefinedTable,
    sqlstate.UndefinedFunction,
    sqlstate.UndefinedColumn,
)
_QUEUE_TABLE = re.compile(r"pgmq\.q_(\w+)")
_REFUSED_VALUES = (
    sqlstate.UntranslatableCharacter,
    sqlstate.InvalidTextRepresentation,
    sqlstate.ProgramLimitExceeded,
    sqlstate.CharacterNotInRepertoire,
)
_LOST_CONNECTIONS = ("080", "08P", "57P")
"""Classes of SQLSTATE: connection exceptions, and what ends a session. A cancelled statement, 57014, doesn't."""


def translate(error: psycopg.Error) -> Exception:
    """Return the error of this package that stands for a driver error, or the driver error itself.

    Only what a user can act on is translated: a missing flow, an input that the flow or jsonb refuses, a missing
    schema or privilege, a lost connection. The rest is a defect and keeps its own type.
    """
    constraint = error.diag.constraint_name
    message = error.diag.message_primary or str(error)
    match error:
        case sqlstate.ForeignKeyViolation() if constraint == "runs_flow_slug_fkey":
            return FlowNotFound(_value_in(error.diag.message_detail))
        case sqlstate.RaiseException() if "has root map steps but input is" in message:
            return InvalidInput(f"{message}; pass a JSON array")
        case sqlstate.UniqueViolation() if constraint == "runs_pkey":
            return InvalidInput(f"run id {_value_in(error.diag.message_detail)} is already in use; pass another one")
        case sqlstate.InsufficientPrivilege():
            return SchemaError(f"{message}; grant the role USAGE on schema pgflow and what it needs inside")
        case sqlstate.ReadOnlySqlTransaction():
            return SchemaError(f"{message}; connect to the primary, in a session that may write")
        case sqlstate.UndefinedTable() if queue := _QUEUE_TABLE.search(message):
            return SchemaError(
                f"{message}: the queue of a flow was dropped; make it anew with `select pgmq.create('{queue[1]}')`"
            )
        case _ if isinstance(error, _MISSING_OBJECTS):
            return NotInstalled(f"{message}; run `pgflow migrate`")
        case _ if isinstance(error, _REFUSED_VALUES):
            return InvalidInput(f"PostgreSQL refused the value: {message}")
        case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate[:3] in _LOST_CONNECTIONS:
            return ConnectionLost(" ".join(message.split()))
        case _:
            return error


def _value_in(detail: str | None) -> str:
    """Return the key's value from PostgreSQL's `Key (column)=(value) …`."""
    if detail is None or "=(" not in detail:
        return "?"
    return detail.split("=(", 1)[1].rpartition(")")[0]
