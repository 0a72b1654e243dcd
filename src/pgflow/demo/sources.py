"""From a file name or URL to text: fetch at most so many bytes, refuse what is no text, decode the rest."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext

import httpx

from pgflow.errors import InvalidInput

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
HTTP_TIMEOUT_SECONDS = 10.0
USER_AGENT = "pgflow-demo"

_MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
}
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HTML_START = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """Decoded text, the place it came from, and `text/markdown`, `text/html` or `text/plain`."""

    location: str
    media_type: str
    text: str


def is_url(name: str) -> bool:
    """Say whether a document's name is an http or https URL."""
    return name.lower().startswith(("http://", "https://"))


def load(name: str) -> Source:
    """Return the text of a file or URL.

    Raises InvalidInput naming the document when it is missing, a directory, not text, larger than
    `MAX_DOCUMENT_BYTES`, or not to be had within `HTTP_TIMEOUT_SECONDS` per network operation.
    """
    return _download(name) if is_url(name) else _read_file(name)


@cache
def tls_context() -> SSLContext:
    """Return the one TLS configuration; building it costs more than most requests."""
    return httpx.create_ssl_context()


def status_text(code: int) -> str:
    """Return an HTTP status as people write it: `404 Not Found`."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _read_file(name: str) -> Source:
    path = Path(name).expanduser().absolute()
    try:
        if path.is_dir():
            raise InvalidInput(f"{name}: is a directory; name the files in it")
        if path.exists() and not path.is_file():
            raise InvalidInput(f"{name}: is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        raise InvalidInput(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{name}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    _refuse_huge(name, len(data))
    text = _decode(name, data, None)
    return Source(str(path), _media_type(path.suffix, text), text)


def _download(url: str) -> Source:
    try:
        with (
            httpx.Client(
                timeout=HTTP_TIMEOUT_SECONDS,
                follow_redirects=True,
                verify=tls_context(),
                headers={"User-Agent": USER_AGENT, "Accept": "text/html, text/markdown, text/*;q=0.8, */*;q=0.1"},
            ) as client,
            client.stream("GET", url) as response,
        ):
            return _receive(url, response)
    except httpx.TimeoutException as error:
        raise InvalidInput(f"{url}: no answer within {HTTP_TIMEOUT_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidInput(f"{url}: can't be fetched: {error}") from error


def _receive(url: str, response: httpx.Response) -> Source:
    if response.status_code != HTTPStatus.OK:
        raise InvalidInput(f"{url}: the server answered {status_text(response.status_code)}")
    declared = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared and not declared.startswith("text/") and declared != "application/xhtml+xml":
        raise InvalidInput(f"{url}: is {declared}, not text")
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        _refuse_huge(url, len(data))
    text = _decode(url, bytes(data), response.charset_encoding)
    suffix = Path(response.url.path).suffix
    media_type = "text/html" if "html" in declared else _media_type(suffix, text)
    return Source(str(response.url), "text/markdown" if "markdown" in declared else media_type, text)


def _refuse_huge(name: str, size: int) -> None:
    if size > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"{name}: is larger than the {MAX_DOCUMENT_BYTES // 1024 // 1024} MiB that are analysed")


def _media_type(suffix: str, text: str) -> str:
    known = _MEDIA_TYPES.get(suffix.lower())
    return known or ("text/html" if _HTML_START.match(text) else "text/plain")


def _decode(name: str, data: bytes, declared: str | None) -> str:
    text = next(text for text in _decodings(data, declared) if text is not None)
    if "\x00" in text or len(_CONTROL_CHARACTERS.findall(text)) > len(text) // 1000:
        raise InvalidInput(f"{name}: is a binary file, not text")
    return text


def _decodings(data: bytes, declared: str | None) -> Iterator[str | None]:
    for encoding in _candidate_encodings(data, declared):
        try:
            yield data.decode(encoding)
        except (UnicodeError, LookupError):
            yield None


def _candidate_encodings(data: bytes, declared: str | None) -> list[str]:
    marked = [encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)]
    in_markup = _CHARSET.search(data[:1024])
    stated = [declared] if declared else [in_markup[1].decode("ascii")] if in_markup else []
    # Windows-1252 is what browsers read under the name Latin-1; Latin-1 itself takes every byte and never fails.
    return [*marked, "utf-8", *stated, "cp1252", "latin-1"]
