"""A small website on this machine, so that pages and links are asked for over a real connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pgflow.demo.sources import MAX_DOCUMENT_BYTES

PAGE = b'<html><title>A page</title><p>Some prose. <a href="other.html">Other</a></p></html>'
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/page.html": (200, {"Content-Type": "text/html; charset=utf-8"}, PAGE),
    "/other.html": (200, {"Content-Type": "text/html"}, b"<p>Other</p>"),
    "/moved": (301, {"Location": "/page.html"}, b""),
    "/circle": (302, {"Location": "/circle"}, b""),
    "/markdown": (200, {"Content-Type": "text/markdown"}, b"# Title\n"),
    "/picture": (200, {"Content-Type": "image/png"}, b"\x89PNG"),
    "/huge": (200, {"Content-Type": "text/plain"}, b"a" * (MAX_DOCUMENT_BYTES + 1)),
    "/forbidden": (403, {}, b""),
    "/broken": (500, {}, b""),
    "/only-get": (200, {}, b"here"),
}
NOT_FOUND: tuple[int, dict[str, str], bytes] = (404, {}, b"")


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(*ANSWERS.get(self.path, NOT_FOUND))

    def do_HEAD(self) -> None:
        status, headers, _ = (405, {}, b"") if self.path == "/only-get" else ANSWERS.get(self.path, NOT_FOUND)
        self.answer(status, headers, b"")

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output free of requests."""


@pytest.fixture(scope="session")
def website() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
