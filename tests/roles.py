"""Ordinary roles with the rights of a starter or a worker, as an owner grants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg
from psycopg import sql

from servers import Server


@contextmanager
def granted_role(server: Server, database: str, kind: Literal["starter", "worker"]) -> Iterator[str]:
    """Create a role of this name, let the owner grant it its rights in a database, and give its URL."""
    name = sql.Identifier(kind)
    with server.superuser(database) as superuser:
        superuser.execute(sql.SQL("create role {} login").format(name))
    try:
        with psycopg.connect(server.url(database), autocommit=True) as owner:
            owner.execute(sql.SQL("select pgflow.{}({})").format(sql.Identifier(f"grant_{kind}"), kind))
        yield server.url(database, kind)
    finally:
        with server.superuser(database) as superuser:
            superuser.execute(sql.SQL("drop owned by {} cascade").format(name))
            superuser.execute(sql.SQL("drop role {}").format(name))
