"""Connections to the database: a pool, and how calls run on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from pgflow import schema
from pgflow.calls import Call
from pgflow.database_url import resolve_url, why_not
from pgflow.errors import ConnectionLost, translate

T = TypeVar("T")


class Database:
    """A pool of connections to one database that has schema `pgflow`.

    `url` is a libpq URL or connection string; None means PGFLOW_DATABASE_URL, or the embedded server.
    `pool_size` bounds the connections. Nothing is opened before :meth:`open`.
    """

    def __init__(self, url: str | None = None, *, pool_size: int = 4) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size}")
        self._url = url
        self._pool_size = pool_size
        self._pool: ConnectionPool[Connection[tuple[Any, ...]]] | None = None
        self._opening = threading.Lock()

    def open(self) -> None:
        """Connect and check the schema; again is fine.

        Raises ConnectionLost when the server can't be reached, and a SchemaError when the database isn't ready.
        """
        with self._opening:
            if self._pool is not None:
                return
            url = resolve_url(self._url)
            self._check(url)
            pool: ConnectionPool[Connection[tuple[Any, ...]]] = ConnectionPool(
                url, min_size=1, max_size=self._pool_size, open=False, kwargs={"autocommit": True}, name="pgflow"
            )
            pool.open()
            self._pool = pool

    def close(self) -> None:
        """Close all connections; again is fine."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def run(self, call: Call[T]) -> T:
        """Run a call in a transaction of its own and decode its rows. Opens the pool on first use."""
        with self._connection() as connection:
            cursor = connection.execute(call.sql, call.arguments)
            rows = cursor.fetchall()
        return call.decode(rows)

    @contextmanager
    def _connection(self) -> Iterator[Connection[tuple[Any, ...]]]:
        if self._pool is None:
            self.open()
        assert self._pool is not None
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise ConnectionLost(f"no connection to the database within {self._pool.timeout:g} s") from error
        except psycopg.Error as error:
            raise translate(error) from error

    def _check(self, url: str) -> None:
        """Find out on one connection whether the database is there and ready, before a pool retries in vain."""
        try:
            with Connection.connect(url, autocommit=True, connect_timeout=10) as connection:
                cursor = connection.execute(schema.VERSIONS_QUERY)
                schema.judge(cursor.fetchall())
        except (psycopg.Error, UnicodeError) as error:  # names of hosts are encoded in a way that can fail
            raise why_not(url, error) from error
