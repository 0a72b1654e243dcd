"""Which database to use: the one given, the one in the environment, or the embedded one."""

from __future__ import annotations

import logging
import os

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgflow import embedded, schema
from pgflow.errors import ConnectionLost

ENVIRONMENT_VARIABLE = "PGFLOW_DATABASE_URL"

logger = logging.getLogger("pgflow")


def resolve_url(url: str | None = None) -> str:
    """Return `url`, else the value of PGFLOW_DATABASE_URL, else the URL of the project's embedded server.

    The embedded server is started or joined and migrated; a warning is logged that says where its data lives.
    """
    return url or os.environ.get(ENVIRONMENT_VARIABLE) or _embedded_url()


def describe(url: str) -> str:
    """Return the URL as `database app on db.example:5432 as user me`, without its password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return repr(url)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    port = f":{parts['port']}" if parts.get("port") else ""
    user = f" as user {parts['user']}" if parts.get("user") else ""
    return f"database {parts.get('dbname') or parts.get('user') or '(default)'} on {host}{port}{user}"


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
