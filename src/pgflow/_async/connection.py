"""Connections to the database: a pool, and how calls run on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pgflow import reference, schema
from pgflow._async.performing import perform, run_on
from pgflow._async.preparing import PooledConnection, prepare_where_direct
from pgflow.callers import awaiting as callers
from pgflow.calls import Call
from pgflow.connecting import POOL_NAME, RECONNECT_SECONDS, connection_options, is_refused_by_pooler
from pgflow.database_url import is_readable, resolve_url, why_not
from pgflow.errors import ConnectionLost, NotInstalled, translate
from pgflow.listening import AsyncRunWatcher
from pgflow.listening.listener import Listener
from pgflow.reference import Core, Steps

T = TypeVar("T")

_LAST_CHANCE_SECONDS = 0.005


class Database:
    """A pool of connections to one database that has schema `pgflow`.

    `url` is a libpq URL or connection string; None means PGFLOW_DATABASE_URL, or the embedded server.
    `pool_size` bounds the connections. Nothing is opened before :meth:`open`. With `listen`, one more connection
    listens for notifications while somebody waits for some: to `listen_url`, or to `url` unless that is a pooler.
    """

    def __init__(
        self, url: str | None = None, *, pool_size: int = 3, listen: bool = True, listen_url: str | None = None
    ) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size}")
        if listen_url and not is_readable(listen_url):
            raise ValueError("listen_url can't be read; write postgresql://user:password@host:port/database")
        self.given_url = url
        """What it was made with: None means PGFLOW_DATABASE_URL, or the embedded server."""
        self.url: str | None = None
        """The URL, once opened."""
        self.options: dict[str, Any] = {}
        """What psycopg is given besides the URL, once opened."""
        self.core: Core | None = None
        """What the reference's schema has, once opened; None for a schema that `pgflow migrate` has made."""
        self._pool_size = pool_size
        self._pool: AsyncConnectionPool[PooledConnection] | None = None
        self._opening = asyncio.Lock()
        self._turns = asyncio.Semaphore(pool_size)
        """Who has to wait waits here: the queue of a pool has a clock for each, and gives up when it is long."""
        self._last_taken = float("-inf")
        self.listen_url = listen_url
        self._listener = Listener(self._session_url, through_pooler=bool(listen_url), enabled=listen)
        self.watcher = AsyncRunWatcher(self, self._listener)
        """Waits for runs."""

    async def open(self) -> None:
        """Connect and check the schema; again is fine.

        Raises ConnectionLost when the server can't be reached, and a SchemaError when the database isn't ready.
        """
        async with self._opening:
            if self._pool is not None:
                return
            url = await asyncio.to_thread(resolve_url, self.given_url)
            self.options = await self._check(url)
            pool: AsyncConnectionPool[PooledConnection] = AsyncConnectionPool(
                url,
                min_size=1,
                max_size=self._pool_size,
                open=False,
                connection_class=PooledConnection,
                kwargs=self.options,
                configure=prepare_where_direct if self.core is None else None,
                name=POOL_NAME,
                reconnect_timeout=RECONNECT_SECONDS,
                reconnect_failed=AsyncConnectionPool.check,  # begins again
            )
            await pool.open()
            self.url = url
            self._pool = pool
            self._turns = asyncio.Semaphore(self._pool_size)

    async def close(self) -> None:
        """Close all connections; again is fine."""
        await self.watcher.close()
        async with self._opening:
            if self._pool is not None:
                await self._pool.close()
                self._pool = None

    async def run(self, call: Call[T], conn: object | None = None) -> T:
        """Run a call and decode its rows: in a transaction of its own, or in that of the caller's connection `conn`.

        Opens the pool on first use, if it needs one.
        """
        if conn is None and self._pool is None:
            await self.open()
        core = self.core
        try:
            return await self._run(call if core is None else core.plan(call), conn)
        except NotInstalled:
            if core is None or not core.is_adopted or conn is not None:
                raise
            self.core = core.released()  # what was added has been removed meanwhile
        return await self.run(call)

    async def _run(self, plan: Call[T] | Steps[T], conn: object | None) -> T:
        if conn is not None:
            return await perform(plan, lambda each: callers.run(conn, each))
        async with self._connection() as connection:
            if isinstance(plan, Call):
                return await connection.run(plan)
            async with connection.transaction():
                return await perform(plan, lambda each: run_on(connection, each))

    def _session_url(self) -> str:
        """Return the URL to listen on."""
        url = self.listen_url or self.url
        if url is None:
            raise ConnectionLost("the database has not been opened yet")
        return url

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PooledConnection]:
        if self._pool is None:
            await self.open()
        pool = self._pool
        assert pool is not None
        asked_at = monotonic()
        async with self._turns:
            try:
                connection = await self._take(pool, asked_at)
                try:
                    yield connection
                except ReadOnlySqlTransaction:  # this server has become a standby; a new one may find the other
                    await connection.close()
                    raise
                finally:
                    await pool.putconn(connection)
            except psycopg.Error as error:
                raise translate(error) from error

    async def _take(
        self,
        pool: AsyncConnectionPool[PooledConnection],
        asked_at: float,
    ) -> PooledConnection:
        """Return a connection. Raises ConnectionLost when nobody has got one for as long as a pool waits."""
        left = max(asked_at, self._last_taken) + pool.timeout - monotonic()
        try:
            connection = await pool.getconn(max(left, _LAST_CHANCE_SECONDS))
        except PoolTimeout as error:
            raise ConnectionLost(f"no connection to the database within {pool.timeout:g} s") from error
        self._last_taken = monotonic()
        return connection

    async def _check(self, url: str) -> dict[str, Any]:
        """Find out on one connection whether the database is there and ready, before a pool retries in vain.

        Returns the options of further connections.
        """
        try:
            try:
                return await self._try(url, connection_options(url))
            except psycopg.OperationalError as error:
                if not is_refused_by_pooler(error):
                    raise
                return await self._try(url, connection_options(url, pooled=True))
        except (psycopg.Error, UnicodeError) as error:  # names of hosts are encoded in a way that can fail
            raise why_not(url, error) from error

    async def _try(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        async with await AsyncConnection.connect(url, **options) as connection:
            cursor = await connection.execute(schema.VERSIONS_QUERY)
            try:
                schema.judge(await cursor.fetchall())
                self.core = None
            except NotInstalled:
                cursor = await connection.execute(reference.DETECTION_QUERY)
                self.core = reference.detect(await cursor.fetchall())
                self._listener.disable()
        return options
