"""Collecting the links of documents, and checking one of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from pgflow.demo.documents import read_document
from pgflow.demo.model import CheckedLink, Document, Link, LinkOutcome, LinkToCheck, Verdict
from pgflow.demo.sources import USER_AGENT, is_url, status_text, tls_context
from pgflow.errors import InvalidInput

MAX_WEB_LINKS = 200
"""Web addresses checked per document, out of regard for the servers; the rest is reported as not checked."""

CHECK_TIMEOUT_SECONDS = 5.0
"""Time for each network operation of a check; a whole check takes at most three times that."""

_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")
_HEAD_REFUSED = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_NOT_FOR_PROGRAMS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_WITH_ANCHORS = {".md", ".markdown", ".html", ".htm", ".xhtml"}


def collect_links(document: Document) -> list[LinkToCheck]:
    """Return a document's links in order, each target once, as elements for the map step.

    Anchors within the document are settled here, where they are known, and so are web addresses past `MAX_WEB_LINKS`.
    """
    distinct: dict[str, Link] = {}
    for link in document.links:
        distinct.setdefault(link.target, link)
    return list(_with_known_verdicts(document, distinct.values()))


async def check(link: LinkToCheck) -> CheckedLink:
    """Return what became of one link.

    Files are looked for relative to the document, their anchors in Markdown and HTML; web addresses are asked for with
    HEAD, then GET. A server that can't be reached is a result like any other; nothing is raised for it.
    """
    verdict = link.known or await _examine(link)
    return CheckedLink(link.document, link.text, link.target, link.line, verdict.outcome, verdict.detail)


def _with_known_verdicts(document: Document, links: Iterable[Link]) -> Iterator[LinkToCheck]:
    anchors = {"", "top", *document.anchors}
    web_links = 0
    for link in links:
        known: Verdict | None = None
        if link.target.startswith("#"):
            known = _anchor_verdict(link.target[1:], anchors, "this document")
        elif is_url(link.target) or is_url(document.location):
            web_links += 1
            known = _past_limit() if web_links > MAX_WEB_LINKS else None
        yield LinkToCheck(document.name, document.location, link.text, link.target, link.line, known)


def _past_limit() -> Verdict:
    return Verdict(LinkOutcome.NOT_CHECKED, f"only the first {MAX_WEB_LINKS} web addresses of a document are checked")


def _anchor_verdict(fragment: str, anchors: Iterable[str], where: str) -> Verdict:
    if unquote(fragment) in anchors or fragment in anchors:
        return Verdict(LinkOutcome.OK, f"anchor in {where}")
    return Verdict(LinkOutcome.BROKEN, f"no anchor #{unquote(fragment)} in {where}")


async def _examine(link: LinkToCheck) -> Verdict:
    try:
        target = urljoin(link.location, link.target) if is_url(link.location) else link.target
        parts = urlsplit(target)
    except ValueError:
        return Verdict(LinkOutcome.BROKEN, "not a valid address")
    if parts.scheme in ("http", "https"):
        return await _ask(target)
    if parts.scheme:
        return Verdict(LinkOutcome.NOT_CHECKED, f"{parts.scheme} addresses are not checked")
    if parts.netloc:
        return await _ask(f"https:{target}")
    return await asyncio.to_thread(_look_on_disk, Path(link.location).parent, unquote(parts.path), parts.fragment)


def _look_on_disk(directory: Path, path: str, fragment: str) -> Verdict:
    if not path:
        return Verdict(LinkOutcome.BROKEN, "empty target")
    if path.startswith("/"):
        return Verdict(LinkOutcome.NOT_CHECKED, "counts from the root of a site that is not known")
    target = directory / path
    try:
        if not target.exists():
            return Verdict(LinkOutcome.BROKEN, "no such file")
    except (OSError, ValueError) as error:
        return Verdict(LinkOutcome.BROKEN, f"not a usable path: {getattr(error, 'strerror', None) or error}")
    if fragment and target.suffix.lower() in _WITH_ANCHORS:
        return _look_for_anchor(target, fragment)
    return Verdict(LinkOutcome.OK, "directory exists" if target.is_dir() else "file exists")


def _look_for_anchor(target: Path, fragment: str) -> Verdict:
    try:
        anchors = read_document(str(target)).anchors
    except InvalidInput:
        return Verdict(LinkOutcome.NOT_CHECKED, "file exists, but can't be read to look for the anchor")
    return _anchor_verdict(fragment, {"top", *anchors}, target.name)


async def _ask(address: str) -> Verdict:
    try:
        async with asyncio.timeout(3 * CHECK_TIMEOUT_SECONDS), _client() as client:
            response = await _head_then_get(client, address)
    except (TimeoutError, httpx.TimeoutException):
        return Verdict(LinkOutcome.UNREACHABLE, "no answer in time")
    except httpx.InvalidURL as error:
        return Verdict(LinkOutcome.BROKEN, f"not a valid address: {error}")
    except httpx.HTTPError as error:
        return Verdict(LinkOutcome.UNREACHABLE, _ERROR_NUMBER.sub("", str(error)) or type(error).__name__)
    return _status_verdict(response)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=CHECK_TIMEOUT_SECONDS,
        follow_redirects=True,
        verify=tls_context(),
        headers={"User-Agent": USER_AGENT},
    )


async def _head_then_get(client: httpx.AsyncClient, address: str) -> httpx.Response:
    response = await client.head(address)
    if response.status_code in _HEAD_REFUSED or response.is_server_error:
        # Some servers answer HEAD wrongly; GET decides. Its body is not read.
        async with client.stream("GET", address) as response:
            return response
    return response


def _status_verdict(response: httpx.Response) -> Verdict:
    answer = status_text(response.status_code)
    if response.is_success:
        moved = response.history and response.history[0].is_redirect
        return Verdict(LinkOutcome.OK, f"{answer}, at {response.url}" if moved else answer)
    if response.status_code in _NOT_FOR_PROGRAMS:
        return Verdict(LinkOutcome.NOT_CHECKED, f"the server answers programs with {answer}")
    return Verdict(LinkOutcome.BROKEN, answer)
