"""Callers with a connection of their own, one class per library; what they do is the same for tests."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import asyncpg
import django.conf
import django.db
import psycopg
import psycopg2
import sqlalchemy
from django.db import transaction
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext import asyncio as sqlalchemy_async
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgflow import PgFlow, sync


class Caller:
    """A connection in a transaction; subclasses say how. Coroutines run on a loop of its own, so tests are plain."""

    is_async = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.loop = asyncio.Runner()
        self.conn: Any = None
        self.client = self.client_of(url)
        self.do(self.open)

    def client_of(self, url: str) -> Any:
        return PgFlow(url) if self.is_async else sync.PgFlow(url)

    def do(self, method: Any, *arguments: Any, **options: Any) -> Any:
        """Call a method and return its result, awaited where it must be."""

        async def call() -> Any:
            result = method(*arguments, **options)
            return await result if inspect.isawaitable(result) else result

        return self.loop.run(call()) if self.is_async else method(*arguments, **options)

    def start(self, *arguments: Any, **options: Any) -> Any:
        """Start a run in the transaction."""
        return self.do(self.client.start_flow, *arguments, conn=self.conn, **options)

    def start_many(self, *arguments: Any, **options: Any) -> Any:
        return self.do(self.client.start_flows, *arguments, conn=self.conn, **options)

    def leave(self) -> None:
        """Close everything, whatever state it is in."""
        self.do(self.client.close)
        self.do(self.close)
        self.loop.close()

    # What subclasses say: open() begins a transaction.
    def open(self) -> Any: ...
    def execute(self, statement: str) -> Any: ...
    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...
    def close(self) -> Any: ...


class Psycopg(Caller):
    def open(self) -> None:
        self.conn = psycopg.connect(self.url)

    def execute(self, statement: str) -> None:
        self.conn.execute(statement)

    def commit(self) -> Any:
        return self.conn.commit()

    def rollback(self) -> Any:
        return self.conn.rollback()

    def close(self) -> Any:
        return self.conn.close()


class PsycopgAsync(Psycopg):
    is_async = True

    async def open(self) -> None:
        self.conn = await psycopg.AsyncConnection.connect(self.url)

    async def execute(self, statement: str) -> None:
        await self.conn.execute(statement)


class PsycopgInAsyncCode(Psycopg):
    """A connection that blocks, given to the async client."""

    is_async = True


class Psycopg2(Psycopg):
    def open(self) -> None:
        self.conn = psycopg2.connect(self.url)

    def execute(self, statement: str) -> None:
        self.conn.cursor().execute(statement)


class Asyncpg(Caller):
    is_async = True

    async def open(self) -> None:
        self.conn = await asyncpg.connect(self.url)
        self.transaction = self.conn.transaction()
        await self.transaction.start()

    async def execute(self, statement: str) -> None:
        await self.conn.execute(statement)

    async def commit(self) -> None:
        await self.transaction.commit()

    async def rollback(self) -> None:
        await self.transaction.rollback()
        self.transaction = self.conn.transaction()
        await self.transaction.start()

    async def close(self) -> None:
        await self.conn.close()


class AsyncpgPool(Asyncpg):
    """A connection of a pool, which is a proxy."""

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=1)
        self.conn = await self.pool.acquire()
        self.transaction = self.conn.transaction()
        await self.transaction.start()

    async def close(self) -> None:
        self.pool.terminate()


def sqlalchemy_url(url: str, driver: str) -> sqlalchemy.URL:
    parameters = conninfo_to_dict(url)
    query = {name: str(parameters[name]) for name in ("host", "port")}
    return sqlalchemy.URL.create(
        f"postgresql+{driver}", str(parameters["user"]), database=str(parameters["dbname"]), query=query
    )


class SqlAlchemyConnection(Psycopg):
    driver = "psycopg"

    def open(self) -> None:
        self.engine = sqlalchemy.create_engine(sqlalchemy_url(self.url, self.driver))
        self.conn = self.engine.connect()

    def execute(self, statement: str) -> None:
        self.conn.execute(sqlalchemy.text(statement))

    def close(self) -> None:
        self.conn.close()
        self.engine.dispose()


class SqlAlchemyConnectionOnPsycopg2(SqlAlchemyConnection):
    driver = "psycopg2"


class SqlAlchemySession(SqlAlchemyConnection):
    def open(self) -> None:
        super().open()
        self.conn.close()
        self.conn = Session(self.engine)


class SqlAlchemyScopedSession(SqlAlchemySession):
    def open(self) -> None:
        super().open()
        self.conn = scoped_session(sessionmaker(self.engine))


class SqlAlchemyAsyncConnection(Caller):
    is_async = True
    driver = "asyncpg"

    async def open(self) -> None:
        self.engine = sqlalchemy_async.create_async_engine(sqlalchemy_url(self.url, self.driver))
        self.conn = await self.engine.connect()

    async def execute(self, statement: str) -> None:
        await self.conn.execute(sqlalchemy.text(statement))

    async def commit(self) -> None:
        await self.conn.commit()

    async def rollback(self) -> None:
        await self.conn.rollback()

    async def close(self) -> None:
        await self.conn.close()
        await self.engine.dispose()


class SqlAlchemyAsyncConnectionOnPsycopg(SqlAlchemyAsyncConnection):
    driver = "psycopg"


class SqlAlchemyAsyncSession(SqlAlchemyAsyncConnection):
    async def open(self) -> None:
        await super().open()
        await self.conn.close()
        self.conn = sqlalchemy_async.AsyncSession(self.engine)


class SqlAlchemyAsyncSessionOnPsycopg(SqlAlchemyAsyncSession):
    driver = "psycopg"


class Django(Caller):
    def open(self) -> None:
        self.conn = use_django(self.url)
        self.begin()

    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def execute(self, statement: str) -> None:
        with self.conn.cursor() as cursor:
            cursor.execute(statement)

    def commit(self) -> None:
        self.atomic.__exit__(None, None, None)

    def rollback(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)
        self.begin()

    def close(self) -> None:
        while self.conn.in_atomic_block:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)
        self.conn.close()


def use_django(url: str, **options: Any) -> Any:
    """Return Django's `connection`, turned to this database."""
    parameters = conninfo_to_dict(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parameters["dbname"],
        "USER": parameters["user"],
        "HOST": parameters["host"],
        "PORT": parameters["port"],
        **options,
    }
    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True, DATABASES={"default": database})
        django.setup()
    django.db.connections.settings["default"].update(database)
    django.db.connections["default"].close()
    del django.db.connections["default"]
    return django.db.connection


CALLERS = [
    Psycopg,
    PsycopgAsync,
    PsycopgInAsyncCode,
    Psycopg2,
    Asyncpg,
    AsyncpgPool,
    SqlAlchemyConnection,
    SqlAlchemyConnectionOnPsycopg2,
    SqlAlchemySession,
    SqlAlchemyScopedSession,
    SqlAlchemyAsyncConnection,
    SqlAlchemyAsyncConnectionOnPsycopg,
    SqlAlchemyAsyncSession,
    SqlAlchemyAsyncSessionOnPsycopg,
    Django,
]
