from __future__ import annotations

from pathlib import Path

import pytest

from pgflow.demo.documents import default_documents, make_request, read_document
from pgflow.errors import InvalidInput


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "pgflow-py"\n', encoding="utf-8")
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    for name in ("README.md", "ARCHITECTURE.md", "docs/guide.md", "docs/deep/not.md", "notes.txt"):
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    return tmp_path


def test_the_documents_of_the_repository_are_its_markdown_at_the_top_and_in_docs(repository: Path) -> None:
    expected = [str(repository / name) for name in ("ARCHITECTURE.md", "README.md", "docs/guide.md")]
    assert default_documents(repository) == expected
    assert default_documents(repository / "docs" / "deep") == expected


def test_another_project_is_not_the_repository(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    (tmp_path / "README.md").write_text("# Other\n", encoding="utf-8")
    assert str(tmp_path / "README.md") not in default_documents(tmp_path)


def test_a_broken_project_file_is_not_the_repository(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[", encoding="utf-8")
    assert all(Path(name).parent != tmp_path for name in default_documents(tmp_path))


def test_a_document_has_its_title_prose_links_and_anchors(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# Title\n\nProse with [a link](b.md).\n", encoding="utf-8")
    document = read_document(str(path))
    assert (document.title, document.paragraphs, document.anchors) == ("Title", ["Prose with a link."], ["title"])
    assert [link.target for link in document.links] == ["b.md"]


def test_a_document_without_a_title_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert read_document(str(tmp_path / "notes.txt")).title == "notes.txt"


def test_a_page_without_a_title_is_called_as_its_address(website: str) -> None:
    assert read_document(f"{website}/other.html").title == "other.html"


def test_a_request_holds_absolute_paths_each_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    request = make_request(["a.md", str(tmp_path / "a.md"), "https://example.org/"], "out/report.md")
    assert request.documents == [str(tmp_path / "a.md"), "https://example.org/"]
    assert request.report_path == str(tmp_path / "out" / "report.md")


def test_a_former_report_is_no_default_document(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)
    (repository / "pgflow-report.md").write_text("# Document report\n", encoding="utf-8")
    assert len(make_request().documents) == 3


def test_a_report_over_one_of_the_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to(tmp_path / "a.md")
    with pytest.raises(InvalidInput, match="the report would overwrite a document"):
        make_request([str(tmp_path / "a.md")], tmp_path / "link.md")


def test_a_directory_as_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is a directory; name a file for the report"):
        make_request(["a.md"], tmp_path)
