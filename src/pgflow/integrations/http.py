"""A few pages over HTTP for probes and scrapers, from the event loop that does the work: silence means it is stuck."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeAlias

logger = logging.getLogger("pgflow.http")

_REQUEST_SECONDS = 5.0
_LONGEST_LINE = 8192
_MOST_HEADERS = 100


@dataclass(frozen=True, slots=True)
class Page:
    """What a request is answered with."""

    body: bytes
    content_type: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK


Render: TypeAlias = Callable[[], Awaitable[Page]]


class Pages:
    """Answers GET and HEAD of some paths at an address until it is closed; a context manager.

    `port` 0 takes any free one; :attr:`port` tells which. A page that can't be rendered is answered with status 500 and
    logged. Connections are closed after one answer, and after five seconds without a request.
    """

    def __init__(self, pages: Mapping[str, Render], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._pages = pages
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError if the address is taken."""
        self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=_LONGEST_LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for answering in self._answering:
            answering.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port that is listened at."""
        assert self._server is not None, "it listens inside `async with` only"
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering = asyncio.create_task(self._serve(reader, writer), name="pgflow-http")
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                method, path = await _read_request(reader)
            page = await self._page(method, path)
            writer.write(_head(page))
            if method != "HEAD":
                writer.write(page.body)
            async with asyncio.timeout(_REQUEST_SECONDS):
                await writer.drain()
        except (OSError, TimeoutError, ValueError, EOFError, asyncio.LimitOverrunError):
            pass  # no HTTP, or whoever asked is gone
        finally:
            writer.close()

    async def _page(self, method: str, path: str) -> Page:
        if method not in ("GET", "HEAD"):
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        render = self._pages.get(path.partition("?")[0])
        if render is None:
            return _plain(HTTPStatus.NOT_FOUND, f"pages: {' '.join(self._pages)}")
        try:
            return await render()
        except Exception:
            logger.exception("page %s can't be rendered", path)
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Return method and path. Raises ValueError for what is no HTTP."""
    method, path, _ = (await reader.readuntil(b"\n")).decode("latin-1").split()
    for _ in range(_MOST_HEADERS):
        if not (await reader.readuntil(b"\n")).strip():
            return method, path
    raise ValueError("too many headers")


def _plain(status: HTTPStatus, text: str | None = None) -> Page:
    return Page(f"{text or status.phrase}\n".encode(), "text/plain; charset=utf-8", status)


def _head(page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
