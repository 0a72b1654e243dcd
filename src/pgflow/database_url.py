"""Which database to use: the one given, the one in the environment, or the embedded one."""

from __future__ import annotations

import logging
import os
import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgflow import embedded, schema
from pgflow.errors import ConnectionLost, translate

ENVIRONMENT_VARIABLE = "PGFLOW_DATABASE_URL"

_SECRETS = ("password", "sslpassword")
_UNENCODED_PASSWORD = re.compile(r"postgres(ql)?://([^/@]*@[^/?]*@|[^@?]*/[^?]*@)")
"""An @ or / in a password: the rest of it would be taken for a host or database, and be shown as such."""

_BEGINNINGS = ("FATAL: ", " failed: ", "connection is bad: ")
"""After the last of these stands the reason."""

_PLACE = f"in --url or {ENVIRONMENT_VARIABLE}"
_GENERAL_ADVICE = f"check that the server is up, and the URL {_PLACE}"
_ADVICE = (
    ("password authentication failed|no password supplied", f"correct the user and the password {_PLACE}"),
    ("database .* does not exist", f"make it with `createdb`, or correct the name {_PLACE}"),
    ("role .* does not exist", f"make it with `createuser`, or correct the user {_PLACE}"),
    (
        "Connection refused|No such file or directory",
        f"start the server there, or correct the URL {_PLACE}; without a URL pgflow runs a server of its own",
    ),
    ("too many clients|remaining connection slots", "end other programs, or raise max_connections of the server"),
)

logger = logging.getLogger("pgflow")


def given_url(url: str | None = None) -> str | None:
    """Return `url`, else the value of PGFLOW_DATABASE_URL, else None, which means the embedded server."""
    return url or os.environ.get(ENVIRONMENT_VARIABLE) or None


def resolve_url(url: str | None = None) -> str:
    """Return `url`, else the value of PGFLOW_DATABASE_URL, else the URL of the project's embedded server.

    The embedded server is started or joined and migrated; a warning is logged that says where its data lives.
    Raises ConnectionLost for what is no URL or connection string.
    """
    given = given_url(url)
    if given is None:
        return _embedded_url()
    _parts(given)
    return given


def describe(url: str) -> str:
    """Return the URL as `database app on db.example:5432 as user me`, without its password."""
    parts = _parts(url)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    port = f":{parts['port']}" if parts.get("port") else ""
    user = f" as user {parts['user']}" if parts.get("user") else ""
    return f"database {parts.get('dbname') or parts.get('user') or '(default)'} on {host}{port}{user}"


def without_password(url: str) -> str:
    """Return a connection string, for psql for example, that says all of the URL but its passwords."""
    return make_conninfo("", **{name: value for name, value in _parts(url).items() if name not in _SECRETS})


def is_readable(url: str) -> bool:
    """Whether a text is a database URL or connection string."""
    try:
        _parts(url)
    except ConnectionLost:
        return False
    return True


def why_not(url: str, error: Exception) -> Exception:
    """Return the error of this package for what connecting to `url`, or the first statement there, has raised."""
    if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.OperationalError):
        return translate(error)
    reason = _reason(str(error))
    return ConnectionLost(f"can't connect to {describe(url)}: {reason}; {_advice(reason)}")


def _reason(text: str) -> str:
    """Return in one line what the server has said, or else the driver: it says a lot around it."""
    said = " ".join(text.split())
    for beginning in _BEGINNINGS:
        said = said.rpartition(beginning)[2]
    return said.removesuffix(" Is the server running on that host and accepting TCP/IP connections?").removesuffix(
        " Is the server running locally and accepting connections on that socket?"
    )


def _advice(reason: str) -> str:
    """Return what to do about it; texts of servers that speak other languages get the general advice."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, reason)), _GENERAL_ADVICE)


def _parts(url: str) -> dict[str, str]:
    """Return the parameters of a URL or connection string.

    What can't be read isn't shown, and neither is the driver's error: both may hold a password.
    """
    try:
        if "\0" not in url and not _UNENCODED_PASSWORD.match(url):
            return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, ValueError):
        pass
    raise ConnectionLost(
        f"the database URL, in --url or {ENVIRONMENT_VARIABLE}, can't be read; write "
        "postgresql://user:password@host:port/database, and in the password @ as %40, / as %2F, % as %25"
    )


def _embedded_url() -> str:
    server = embedded.start()
    if server.started:
        logger.warning(
            "No database URL given: using the embedded PostgreSQL, data in %s. Set %s to use a server of your own.",
            server.data_directory,
            ENVIRONMENT_VARIABLE,
        )
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            schema.migrate(connection)
    except psycopg.OperationalError as error:
        raise ConnectionLost(f"can't connect to the embedded server: {error}") from error
    return server.url
