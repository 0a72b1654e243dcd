"""Pages for probes and scrapers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import httpx
import pytest

from pgflow.integrations import http
from pgflow.integrations.http import Page, Pages


async def sick() -> Page:
    return Page(b'{"status":"down"}', status=HTTPStatus.SERVICE_UNAVAILABLE)


async def metrics() -> Page:
    return Page("größe 1\n".encode(), "text/plain; charset=utf-8")


async def broken() -> Page:
    raise ZeroDivisionError


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    async with Pages({"/health": sick, "/metrics": metrics, "/broken": broken}) as pages:
        yield pages


async def answer(pages: Pages, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{pages.port}", trust_env=False) as client:
        return await client.request(method, path)


async def test_a_page_is_answered_with_its_status_and_type(pages: Pages) -> None:
    health = await answer(pages, "/health")
    assert (health.status_code, health.json()) == (503, {"status": "down"})
    assert health.headers["content-type"] == "application/json"
    text = await answer(pages, "/metrics?name=x")
    assert (text.status_code, text.text) == (200, "größe 1\n")


async def test_head_is_answered_without_a_body(pages: Pages) -> None:
    head = await answer(pages, "/metrics", "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/health/", "GET", 404), ("/health", "POST", 405)]
)
async def test_other_requests_are_refused(pages: Pages, path: str, method: str, status: int) -> None:
    assert (await answer(pages, path, method)).status_code == status


async def test_an_unknown_path_is_told_the_pages(pages: Pages) -> None:
    assert (await answer(pages, "/nothing")).text == "pages: /health /metrics /broken\n"


async def test_a_page_that_fails_is_logged_and_hurts_no_other(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    assert (await answer(pages, "/broken")).status_code == 500
    assert [record.levelno for record in caplog.records if record.name == "pgflow.http"] == [logging.ERROR]
    assert (await answer(pages, "/metrics")).status_code == 200


NO_HTTP = {
    "nothing": b"",
    "newline": b"\n",
    "text": b"hello\r\n\r\n",
    "half": b"GET /health",
    "tls": b"\x16\x03\x01\x00\xff\n",
    "long line": b"A" * 20_000,
    "odd line": b"GET /a b c\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 1000,
}


@pytest.mark.parametrize("text", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_closed(pages: Pages, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    writer.write(text)
    writer.write_eof()
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert (await answer(pages, "/metrics")).status_code == 200
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_closing_does_not_wait_for_whoever_says_nothing() -> None:
    async with Pages({"/metrics": metrics}) as pages:
        reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
        assert (await answer(pages, "/metrics")).status_code == 200
        async with asyncio.timeout(2):
            await pages.__aexit__(None, None, None)
        assert await reader.read() == b""
        writer.close()


async def test_whoever_says_nothing_is_hung_up_on(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REQUEST_SECONDS", 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_port_in_use_is_an_error(pages: Pages) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await Pages({}, port=pages.port).__aenter__()
