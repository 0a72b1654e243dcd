from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgflow.demo.documents import make_request, read_document
from pgflow.demo.flow import (
    analyse_documents,
    check_link,
    count_words,
    extract_links,
    read_documents,
    report,
    summarise,
)
from pgflow.demo.model import AnalysisRequest, ReportResult
from pgflow.errors import InvalidInput


@dataclass
class SecondAttempt:
    attempt: int = 2


@dataclass
class FirstAttempt:
    attempt: int = 1


async def analysed(request: AnalysisRequest) -> ReportResult:
    documents = await read_documents(request)
    links = [await check_link(link) for link in extract_links(documents)]
    return report(count_words(documents, SecondAttempt()), summarise(documents), links, request)


def text_of(result: ReportResult) -> str:
    return Path(result.path).read_text(encoding="utf-8")


def request_for(tmp_path: Path, **texts: str) -> AnalysisRequest:
    paths = [tmp_path / f"{name}.md" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return make_request([str(path) for path in paths], tmp_path / "report.md")


async def test_documents_are_analysed_into_a_report(tmp_path: Path) -> None:
    request = request_for(
        tmp_path,
        one="# One\n\nThe first document points to [another](two.md) and to [nothing](three.md).\n",
        two="# Two\n\nThe second one points [back](one.md#one), and [back](one.md#one) again.\n",
    )
    result = await analysed(request)
    assert (result.documents, result.words, result.links, result.broken_links) == (2, 17, 3, 1)
    assert "| one.md, line 3 | `three.md` | no such file |" in text_of(result)


async def test_documents_without_links_and_words_make_a_report_too(tmp_path: Path) -> None:
    request = request_for(tmp_path, empty="")
    assert extract_links(await read_documents(request)) == []
    assert (await analysed(request)).links == 0


async def test_the_first_attempt_to_count_words_fails_on_purpose(tmp_path: Path) -> None:
    documents = await read_documents(request_for(tmp_path, one="Text."))
    with pytest.raises(RuntimeError, match="on purpose"):
        count_words(documents, FirstAttempt())


async def test_every_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    request = make_request([str(tmp_path / "a.md"), str(tmp_path / "b.md")], tmp_path / "report.md")
    with pytest.raises(InvalidInput, match=r"a\.md: no such file; .*b\.md: no such file"):
        await read_documents(request)


async def test_a_request_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no documents to analyse"):
        await read_documents(AnalysisRequest([], str(tmp_path / "report.md")))


def test_what_a_step_returns_arrives_in_the_next_one_as_it_was(tmp_path: Path) -> None:
    request = request_for(tmp_path, one="# One\n\nTo [nothing](three.md), [here](#one) and [there](mailto:a@b.org).\n")
    documents = [read_document(request.documents[0])]
    steps = analyse_documents.steps
    received = steps["extract_links"].binding.arguments(
        {"read_documents": json.loads(steps["read_documents"].binding.encode(documents))}, None, None
    )
    links = extract_links(**received)
    elements = json.loads(steps["extract_links"].binding.encode(links))
    assert received == {"read_documents": documents}
    assert [steps["check_link"].binding.arguments(element, None, None) for element in elements] == [
        {"link": link} for link in links
    ]


def test_the_flow_reads_then_spreads_then_joins() -> None:
    dependencies = {slug: set(step.binding.dependencies) for slug, step in analyse_documents.steps.items()}
    assert dependencies == {
        "read_documents": set(),
        "extract_links": {"read_documents"},
        "check_link": {"extract_links"},
        "count_words": {"read_documents"},
        "summarise": {"read_documents"},
        "report": {"count_words", "summarise", "check_link"},
    }


def test_the_links_are_checked_by_a_map_step() -> None:
    assert analyse_documents.steps["check_link"].shape.step_type == "map"
