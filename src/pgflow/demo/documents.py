"""Which documents to analyse, and reading one into a plain structure."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pgflow.demo.model import AnalysisRequest, Document
from pgflow.demo.parse_html import parse_html
from pgflow.demo.parse_markdown import parse_markdown
from pgflow.demo.parse_text import parse_text
from pgflow.demo.sources import is_url, load
from pgflow.errors import InvalidInput

DEFAULT_REPORT = "pgflow-report.md"

_PARSERS = {"text/markdown": parse_markdown, "text/html": parse_html, "text/plain": parse_text}


def make_request(names: Sequence[str] = (), report_path: str | Path = DEFAULT_REPORT) -> AnalysisRequest:
    """Return the flow's input for documents named on a command line.

    Paths become absolute, so that a worker started elsewhere reads the same files; a name given twice counts once.
    No names means :func:`default_documents`, without an earlier report. Raises InvalidInput when there is nothing to
    analyse, or when the report would overwrite one of the documents.
    """
    report = Path(report_path).expanduser().absolute()
    chosen = list(names) or [name for name in default_documents() if Path(name) != report]
    documents = list(dict.fromkeys(_absolute(name) for name in chosen))
    request = AnalysisRequest(documents, str(report))
    check_request(request)
    return request


def check_request(request: AnalysisRequest) -> None:
    """Raise InvalidInput when a request names no documents, or a report path that is one of them or a directory."""
    report = Path(request.report_path).resolve()
    if not request.documents:
        raise InvalidInput("no documents to analyse; name files or URLs")
    if report.is_dir():
        raise InvalidInput(f"{request.report_path}: is a directory; name a file for the report")
    if any(Path(name).resolve() == report for name in request.documents if not is_url(name)):
        raise InvalidInput(f"{request.report_path}: the report would overwrite a document; name another file")


def default_documents(directory: Path | None = None) -> list[str]:
    """Return the absolute paths of the documents that the demo analyses when none are named.

    Inside this project's repository (`directory`, by default the working directory, or a parent of it) these are its
    Markdown files at the top and in `docs/`; elsewhere the ones that the package carries. Sorted; empty when there
    are none.
    """
    root = _repository(directory or Path.cwd())
    found = [*sorted(root.glob("*.md")), *sorted(root.glob("docs/*.md"))] if root else []
    return [str(path) for path in found or _packaged_documents()]


def read_document(name: str) -> Document:
    """Return a file's or URL's title, prose, links and anchors.

    HTML and Markdown are told by media type, suffix or content; everything else is plain text. Raises InvalidInput
    naming the document when it can't be read as text.
    """
    source = load(name)
    content = _PARSERS[source.media_type](source.text)
    return Document(
        name=name,
        location=source.location,
        title=content.title or _last_part(source.location),
        paragraphs=content.paragraphs,
        links=content.links,
        anchors=content.anchors,
    )


def _absolute(name: str) -> str:
    return name if is_url(name) else str(Path(name).expanduser().absolute())


def _repository(start: Path) -> Path | None:
    start = start.absolute()
    return next((directory for directory in (start, *start.parents) if _is_repository(directory)), None)


def _is_repository(directory: Path) -> bool:
    try:
        project = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return False
    return isinstance(project, dict) and project.get("name") == "pgflow-py"


def _packaged_documents() -> list[Path]:
    return sorted(Path(str(files("pgflow.demo"))).glob("documents/*.md"))


def _last_part(location: str) -> str:
    if not is_url(location):
        return Path(location).name
    parts = urlsplit(location)
    return PurePosixPath(parts.path).name or parts.netloc
