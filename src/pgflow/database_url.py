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
    return ConnectionLost(
        f"can't connect to {describe(url)}: {' '.join(str(error).split())}; check that the server is up, and the URL "
        f"in --url or {ENVIRONMENT_VARIABLE}"
    )


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
