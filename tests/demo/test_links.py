from __future__ import annotations

from pathlib import Path

import pytest

from pgflow.demo.links import MAX_WEB_LINKS, check, collect_links
from pgflow.demo.model import CheckedLink, Document, Link, LinkOutcome, LinkToCheck


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other file.md").write_text("# A heading\n\n<a name='named'></a>\n", encoding="utf-8")
    (tmp_path / "picture.md").write_bytes(b"\x00\x01")
    (tmp_path / "code.py").write_text("pass\n", encoding="utf-8")
    return tmp_path / "README.md"


async def checked(location: Path | str, target: str) -> tuple[str, str]:
    result = await check(LinkToCheck(str(location), str(location), "text", target, 1))
    return result.outcome.value, result.detail


@pytest.mark.parametrize(
    ("target", "outcome", "detail"),
    [
        ("code.py", "ok", "file exists"),
        ("./docs/../code.py?raw=1#L10", "ok", "file exists"),
        ("docs/", "ok", "directory exists"),
        ("docs/other%20file.md", "ok", "file exists"),
        ("docs/other%20file.md#a-heading", "ok", "anchor in other file.md"),
        ("docs/other%20file.md#named", "ok", "anchor in other file.md"),
        ("docs/other%20file.md#gone", "broken", "no anchor #gone in other file.md"),
        ("missing.md", "broken", "no such file"),
        ("missing.md#anchor", "broken", "no such file"),
        ("", "broken", "empty target"),
        ("a" * 5000, "broken", "not a usable path: File name too long"),
        ("a%00b", "broken", "no such file"),
        ("http://[", "broken", "not a valid address"),
        ("picture.md#x", "not checked", "file exists, but can't be read to look for the anchor"),
        ("/docs/other.md", "not checked", "counts from the root of a site that is not known"),
        ("mailto:a@example.org", "not checked", "mailto addresses are not checked"),
        ("javascript:void(0)", "not checked", "javascript addresses are not checked"),
    ],
)
async def test_a_link_in_a_file_is_looked_for_beside_it(document: Path, target: str, outcome: str, detail: str) -> None:
    assert await checked(document, target) == (outcome, detail)


@pytest.mark.parametrize(
    ("path", "outcome", "detail"),
    [
        ("/page.html", "ok", "200 OK"),
        ("/only-get", "ok", "200 OK"),
        ("/missing", "broken", "404 Not Found"),
        ("/broken", "broken", "500 Internal Server Error"),
        ("/forbidden", "not checked", "the server answers programs with 403 Forbidden"),
    ],
)
async def test_a_web_address_is_judged_by_the_answer(
    website: str, document: Path, path: str, outcome: str, detail: str
) -> None:
    assert await checked(document, f"{website}{path}") == (outcome, detail)


async def test_a_redirect_names_where_it_leads(website: str, document: Path) -> None:
    assert await checked(document, f"{website}/moved") == ("ok", f"200 OK, at {website}/page.html")


async def test_a_circle_of_redirects_is_a_result(website: str, document: Path) -> None:
    assert (await checked(document, f"{website}/circle"))[0] == "unreachable"


async def test_a_server_that_is_not_there_is_a_result(closed_port: int, document: Path) -> None:
    assert (await checked(document, f"http://127.0.0.1:{closed_port}/"))[0] == "unreachable"


async def test_a_relative_link_of_a_page_counts_from_its_address(website: str) -> None:
    assert await checked(f"{website}/page.html", "other.html") == ("ok", "200 OK")


def collected(*targets: str, location: str = "/docs/a.md") -> list[LinkToCheck]:
    links = [Link(f"text {line}", target, line) for line, target in enumerate(targets, start=1)]
    return collect_links(Document("a.md", location, "Title", [], links, ["here", "größe"]))


def test_a_target_is_collected_once_with_its_first_line() -> None:
    assert [(link.target, link.line) for link in collected("a", "b", "a")] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("target", "outcome"),
    [("#here", "ok"), ("#gr%C3%B6%C3%9Fe", "ok"), ("#", "ok"), ("#top", "ok"), ("#gone", "broken")],
)
async def test_an_anchor_of_the_document_itself_is_known_without_reading_it_again(target: str, outcome: str) -> None:
    link = collected(target)[0]
    assert link.known is not None
    assert (await check(link)).outcome == outcome


def test_web_addresses_past_the_limit_are_reported_as_not_checked() -> None:
    links = collected(*(f"https://example.org/{number}" for number in range(MAX_WEB_LINKS + 2)), "file.md")
    unchecked = [link for link in links if link.known]
    assert [link.target for link in unchecked] == ["https://example.org/200", "https://example.org/201"]
    assert unchecked[0].known
    assert unchecked[0].known.outcome == LinkOutcome.NOT_CHECKED


def test_a_document_without_links_gives_an_empty_list() -> None:
    assert collected() == []


async def test_a_checked_link_keeps_where_it_stands() -> None:
    link = LinkToCheck("a.md", "/docs/a.md", "Mail", "mailto:a@example.org", 7)
    assert await check(link) == CheckedLink(
        "a.md", "Mail", "mailto:a@example.org", 7, LinkOutcome.NOT_CHECKED, "mailto addresses are not checked"
    )
