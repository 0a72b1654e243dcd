"""Clients whose waits are ended by notifications alone, and what can go wrong with their listener."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import as_superuser
from pgflow import PgFlow
from pgflow.calls import Call
from pgflow.listening import Listener, listener, pace, watcher

DEADLINE_SECONDS = 20


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds; fails after a deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - looks at the database
            await asyncio.sleep(0.005)
    assert condition(), what


def trust_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look by himself once a listener listens: what isn't notified isn't seen."""
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.0)
    monkeypatch.setattr(pace, "SAFETY_SECONDS", 3600.0)
    monkeypatch.setattr(watcher, "FIRST_LOOK_SECONDS", 3600.0)


async def listening(app: PgFlow, topic: Any = "runs") -> Listener:
    """Return the listener of a client, when it listens."""
    found = app.database.watcher.listener
    await eventually(lambda: found.is_settled(topic), "the listener listens")
    return found


@asynccontextmanager
async def subscribed(found: Listener, topic: Any = "runs") -> AsyncIterator[list[str]]:
    """Subscribe and give the payloads received, in their order, from when it listens."""
    payloads: list[str] = []
    with found.subscribe(topic, payloads.append):
        await eventually(lambda: found.is_settled(topic), "the listener listens")
        yield payloads


def sessions(url: str) -> list[int]:
    """Return the process ids of the sessions that listen in this database."""
    with as_superuser(url, autocommit=True) as connection:
        found = connection.execute(
            "select pid from pg_stat_activity"
            " where datname = current_database() and application_name = 'pgflow listener'"
        )
        return [pid for (pid,) in found]


def terminate(url: str, *process_ids: int) -> None:
    """End sessions, and wait for their end."""
    with as_superuser(url, autocommit=True) as connection:
        for process_id in process_ids:
            connection.execute("select pg_terminate_backend(%s, 10000)", (process_id,))


def registered(url: str) -> list[str]:
    """Return the topics somebody is registered for."""
    with psycopg.connect(url) as connection:
        return [topic for (topic,) in connection.execute("select topic from pgflow.listeners order by 1")]


def count_calls(app: PgFlow, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which the statements of the client are added from here on."""
    statements: list[str] = []
    run = app.database.run

    async def counted(call: Call[Any]) -> Any:
        statements.append(call.sql)
        return await run(call)

    monkeypatch.setattr(app.database, "run", counted)
    return statements


class Wire:
    """A TCP connection to the server that can be cut without either end being told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_cut = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.close()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(self._url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    def cut(self) -> None:
        """Let nothing through any more on the connections that there are."""
        self._is_cut.set()
        self._is_cut = asyncio.Event()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = conninfo_to_dict(self._url)
        path = os.path.join(str(parts["host"]), f".s.PGSQL.{parts['port']}")  # noqa: PTH118 - the name of a socket
        to_server = await asyncio.open_unix_connection(path)
        self._ends += [writer, to_server[1]]
        await asyncio.gather(
            self._forward(reader, to_server[1], self._is_cut), self._forward(to_server[0], writer, self._is_cut)
        )

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_cut: asyncio.Event) -> None:
        while (data := await reader.read(65536)) and not is_cut.is_set():
            writer.write(data)
        if not is_cut.is_set():
            writer.close()
