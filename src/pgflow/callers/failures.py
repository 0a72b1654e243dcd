"""What went wrong on a caller's connection, whichever library says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import errors as sqlstate

from pgflow.callers.kinds import ClassName, chain_of, is_a
from pgflow.errors import ConnectionLost, Diagnosis, PgFlowError, UnusableConnection, meaning

_MISUSES: Final[tuple[ClassName, ...]] = (
    ("psycopg", "InterfaceError"),
    ("psycopg.errors", "PipelineAborted"),
    ("psycopg2", "InterfaceError"),
    ("asyncpg", "InterfaceError"),
    ("sqlalchemy.exc", "InvalidRequestError"),
    ("sqlalchemy.exc", "InterfaceError"),
    ("django.core.exceptions", "SynchronousOnlyOperation"),
    ("django.db.transaction", "TransactionManagementError"),
    ("django.db.utils", "InterfaceError"),
)
_LOSSES: Final[tuple[ClassName, ...]] = (
    ("builtins", "ConnectionError"),
    ("psycopg", "OperationalError"),
    ("psycopg2", "OperationalError"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of drivers that users can act on into those of this package; the cause stays attached."""
    try:
        yield
    except PgFlowError:
        raise
    except Exception as error:
        found = _explained(error)
        if found is None:
            raise
        raise found from error


def _explained(error: Exception) -> PgFlowError | None:
    said = _diagnosis(error)
    if said is not None:
        if said.sqlstate == sqlstate.InFailedSqlTransaction.sqlstate:
            return UnusableConnection("its transaction has failed before; roll it back first")
        return meaning(said)
    if _is_any(error, _MISUSES):
        return UnusableConnection(_one_line(error))
    if any(_is_any(each, _LOSSES) for each in chain_of(error)):
        return ConnectionLost(_one_line(error))
    return None


def _diagnosis(error: BaseException) -> Diagnosis | None:
    """Return what the server says, from the innermost error that knows."""
    for each in reversed(list(chain_of(error))):
        code = getattr(each, "sqlstate", None) or getattr(each, "pgcode", None)
        if isinstance(code, str):
            return _read(code, each)
    return None


def _read(code: str, error: Any) -> Diagnosis:
    if diagnostic := getattr(error, "diag", None):
        return Diagnosis(
            code,
            diagnostic.message_primary or _one_line(error),
            diagnostic.message_detail,
            diagnostic.constraint_name,
        )
    message = getattr(error, "message", None) or _one_line(error)
    return Diagnosis(code, message, getattr(error, "detail", None), getattr(error, "constraint_name", None))


def _is_any(error: BaseException, class_names: tuple[ClassName, ...]) -> bool:
    return any(is_a(error, class_name) for class_name in class_names)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
