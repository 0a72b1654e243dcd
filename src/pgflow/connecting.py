"""How connections are made: what every one of them asks for, and how often its troubles are told."""

from __future__ import annotations

import logging
import time
from typing import Any

from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict

POOL_NAME = "pgflow"
IDLE_IN_TRANSACTION_SECONDS = 60
CONNECT_SECONDS = 10
RECONNECT_SECONDS = 15.0
"""For how long a pool doubles the pause between two attempts to connect, before it begins again with the shortest."""

_DEFAULTS = {
    "fallback_application_name": "pgflow",
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}
"""A server that has vanished without a word is noticed after 40 seconds."""


def connection_options(url: str, *, pooled: bool = False) -> dict[str, Any]:
    """Return what is passed to psycopg besides `url`; what the URL says itself is left alone.

    Statements commit by themselves and are not prepared, so that a pooler in transaction mode may give each of them to
    another session. `pooled` leaves out what such a pooler refuses: see :func:`is_refused_by_pooler`.
    """
    given = conninfo_to_dict(url)
    options: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name not in given}
    if "application_name" in given:
        del options["fallback_application_name"]
    if not pooled:
        setting = f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s"
        options["options"] = f"{setting} {given.get('options') or ''}".strip()
    return {"autocommit": True, "prepare_threshold": None, **options}


def is_refused_by_pooler(error: Exception) -> bool:
    """Whether a pooler has refused the settings that a session begins with."""
    return isinstance(error, OperationalError) and "unsupported startup parameter" in str(error)


class Sparing(logging.Filter):
    """Lets a message of one kind pass once per `seconds`: a pool tells of every single attempt to connect."""

    def __init__(self, seconds: float = 60) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about a record; those of other people's pools pass."""
        if not (isinstance(record.args, tuple) and record.args and record.args[0] == POOL_NAME):
            return True
        now = time.monotonic()
        if now - self._last.get(record.msg, -self._seconds) < self._seconds:
            return False
        self._last[record.msg] = now
        return True


logging.getLogger("psycopg.pool").addFilter(Sparing())
