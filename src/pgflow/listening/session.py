"""One connection that listens."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, Notify, sql

from pgflow.connecting import connection_options
from pgflow.database_url import why_not

REGISTRATION_SECONDS = 180
"""How long a registration counts. Notifications are sent in vain for that long after a listener was killed."""

_ANSWER_SECONDS = 10.0


class CannotListen(Exception):
    """The database is there, but LISTEN isn't possible, or has no effect."""


class Session:
    """A connection that listens to channels `pgflow_<topic>`, and says in `pgflow.listeners` that it does.

    Made by :meth:`open`; a context manager that closes the connection. Only one task may use it, apart from
    :meth:`interrupt`.
    """

    def __init__(self, connection: AsyncConnection[Any], listener_id: UUID) -> None:
        self._connection = connection
        self._listener_id = listener_id
        self._own_channel = f"pgflow_listener_{listener_id.hex}"
        self._heard: list[Notify] = []
        self._interrupted = asyncio.Event()
        self._probe = 0
        connection.add_notify_handler(self._heard.append)

    @classmethod
    async def open(cls, url: str, listener_id: UUID, *, through_pooler: bool) -> Self:
        """Connect. Raises ConnectionLost, and CannotListen for a connection pooler unless `through_pooler`."""
        session = cls(await _connect(url), listener_id)
        try:
            if not through_pooler:
                await session._refuse_pooler()
            await session._execute(sql.SQL("listen {}").format(sql.Identifier(session._own_channel)))
        except BaseException:
            await session.close()
            raise
        return session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; again is fine."""
        await self._connection.close()

    async def listen(self, topics: Iterable[str]) -> None:
        """Listen to topics from here on; nothing is sent before :meth:`register`."""
        for topic in sorted(topics):
            await self._execute(sql.SQL("listen {}").format(sql.Identifier(f"pgflow_{topic}")))

    async def unlisten(self, topics: Iterable[str]) -> None:
        """Listen no more to topics; their registrations expire."""
        for topic in sorted(topics):
            await self._execute(sql.SQL("unlisten {}").format(sql.Identifier(f"pgflow_{topic}")))

    async def register(self, topics: Iterable[str]) -> None:
        """Register for topics, or prolong that, and test in the same statement that notifications arrive.

        Raises CannotListen when they don't.
        """
        self._probe += 1
        probe = str(self._probe)
        await self._execute(
            "select pgflow.register_listener(%s, topic, %s), pg_notify(%s, %s) from unnest(%s::text[]) as topic",
            (self._listener_id, REGISTRATION_SECONDS, self._own_channel, probe, sorted(topics)),
        )
        deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
        while not self._has_heard(probe):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise CannotListen("a notification sent to itself did not arrive")
            await self._wait_for_data(left, asyncio.Event())

    async def unregister(self) -> None:
        """Say that nobody listens here any more."""
        await self._execute("select pgflow.unregister_listener(%s)", (self._listener_id,))

    async def wait(self, seconds: float, tell: Callable[[Notify], None]) -> None:
        """Tell what is notified, as it arrives, for so many seconds, or until :meth:`interrupt`.

        Raises a driver error when the connection has broken.
        """
        self._read()
        self._hand_over(tell)
        await self._wait_for_data(seconds, self._interrupted, tell)
        self._interrupted.clear()

    def interrupt(self) -> None:
        """End a :meth:`wait`, now or the next one."""
        self._interrupted.set()

    def hang_up(self) -> None:
        """Break the connection; whoever uses it gets an error at once."""
        if not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    async def _refuse_pooler(self) -> None:
        """Raise CannotListen behind a pooler, known by the process ids that it makes up for its clients."""
        cursor = await self._execute("select pg_backend_pid()")
        (process_id,) = await cursor.fetchone() or (None,)
        if process_id != self._connection.info.backend_pid:
            raise CannotListen(
                "there is a connection pooler in between; name a direct connection with listen_url,"
                " or the same one if it keeps sessions"
            )

    async def _execute(self, statement: str | sql.Composed, arguments: tuple[Any, ...] = ()) -> Any:
        """Run a statement. A server that doesn't answer in time counts as gone: the connection may be half open."""
        running = asyncio.ensure_future(self._connection.execute(statement, arguments))
        try:
            done, _ = await asyncio.wait({running}, timeout=_ANSWER_SECONDS)
        except asyncio.CancelledError:
            self.hang_up()  # rather than to wait until the driver has cancelled the statement
            await asyncio.gather(running, return_exceptions=True)
            raise
        if not done:
            self.hang_up()
        return await running

    async def _wait_for_data(
        self, seconds: float, event: asyncio.Event, tell: Callable[[Notify], None] | None = None
    ) -> None:
        """Take in the data that arrive, until the event is set, or the first have arrived if nobody is to be told.

        This waits on the socket itself, because the driver's own wait can't be ended without cancelling a statement.
        What is notified is told right there, in a turn of the event loop less.
        """
        loop, socket_number = asyncio.get_running_loop(), self._connection.fileno()
        broken: list[psycopg.Error] = []

        def read() -> None:
            try:
                self._read()
            except psycopg.Error as error:
                broken.append(error)
            if tell is not None:
                self._hand_over(tell)
            if broken or tell is None:
                event.set()

        loop.add_reader(socket_number, read)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(socket_number)
        if broken:
            raise broken[0]

    def _hand_over(self, tell: Callable[[Notify], None]) -> None:
        """Tell what was heard, apart from what this session sent to itself."""
        heard, self._heard[:] = list(self._heard), []
        for notify in heard:
            if notify.channel != self._own_channel:
                tell(notify)

    def _read(self) -> None:
        """Take in what has arrived."""
        libpq = self._connection.pgconn
        libpq.consume_input()
        while notify := libpq.notifies():
            self._heard.append(Notify(notify.relname.decode(), notify.extra.decode(errors="replace"), notify.be_pid))

    def _has_heard(self, probe: str) -> bool:
        return any(notify.channel == self._own_channel and notify.payload == probe for notify in self._heard)


async def _connect(url: str) -> AsyncConnection[Any]:
    try:
        options = connection_options(url, pooled=True)
        if "fallback_application_name" in options:
            options["fallback_application_name"] = "pgflow listener"
        return await AsyncConnection.connect(url, **options)
    except (psycopg.Error, UnicodeError) as error:  # names of hosts are encoded in a way that can fail
        raise why_not(url, error) from error
