from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgflow.demo.sources import MAX_DOCUMENT_BYTES, load
from pgflow.errors import InvalidInput


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert load(written(tmp_path / "a.txt", b"\xef\xbb\xbfHello")).text == "Hello"


def test_utf_16_with_its_mark_is_text(tmp_path: Path) -> None:
    assert load(written(tmp_path / "a.txt", "Grüße".encode("utf-16"))).text == "Grüße"


def test_what_is_no_utf_8_is_read_as_latin_1(tmp_path: Path) -> None:
    assert load(written(tmp_path / "a.txt", "Grüße, déjà vu".encode("latin-1"))).text == "Grüße, déjà vu"


def test_curly_quotes_of_windows_survive(tmp_path: Path) -> None:
    assert load(written(tmp_path / "a.txt", "“Grüße”".encode("cp1252"))).text == "“Grüße”"


def test_every_byte_above_ascii_is_some_text(tmp_path: Path) -> None:
    assert len(load(written(tmp_path / "a.txt", bytes(range(128, 256)))).text) == 128


def test_the_encoding_that_a_page_states_is_used(tmp_path: Path) -> None:
    page = '<html><meta charset="iso-8859-2"><p>Łódź</p>'.encode("iso-8859-2")
    assert "Łódź" in load(written(tmp_path / "a.html", page)).text


def test_an_encoding_that_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    assert "é" in load(written(tmp_path / "a.html", b'<meta charset="no-such">\xe9')).text


def test_an_empty_file_is_an_empty_text(tmp_path: Path) -> None:
    assert load(written(tmp_path / "a.md", b"")).text == ""


@pytest.mark.parametrize(
    "data", [b"\x00\x01\x02", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"\x1f\x8b\x08\x01\x02\x03"]
)
def test_a_binary_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"picture\.md: is a binary file, not text"):
        load(written(tmp_path / "picture.md", data))


def test_a_huge_file_is_refused_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"long\.txt: is larger than the 2 MiB"):
        load(written(tmp_path / "long.txt", b"a" * (MAX_DOCUMENT_BYTES + 1)))


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    assert len(load(written(tmp_path / "long.txt", b"a" * MAX_DOCUMENT_BYTES)).text) == MAX_DOCUMENT_BYTES


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"^no/such/file\.md: no such file$"):
        load("no/such/file.md")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is a directory; name the files in it"):
        load(str(tmp_path))


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="is not a regular file"):
        load(str(tmp_path / "pipe"))


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        load("a" * 5000)


@pytest.mark.parametrize(
    ("name", "text", "media_type"),
    [
        ("a.md", "<html>", "text/markdown"),
        ("a.HTM", "text", "text/html"),
        ("a", "<!-- x -->\n<!DOCTYPE html><p>", "text/html"),
        ("a.rst", "text", "text/plain"),
    ],
)
def test_the_media_type_comes_from_the_suffix_or_the_content(
    tmp_path: Path, name: str, text: str, media_type: str
) -> None:
    assert load(written(tmp_path / name, text.encode())).media_type == media_type


def test_a_page_of_the_web_is_read_with_its_final_address(website: str) -> None:
    source = load(f"{website}/moved")
    assert (source.location, source.media_type) == (f"{website}/page.html", "text/html")


def test_markdown_of_the_web_is_told_by_its_media_type(website: str) -> None:
    assert load(f"{website}/markdown").media_type == "text/markdown"


def test_an_answer_that_is_no_success_is_named(website: str) -> None:
    with pytest.raises(InvalidInput, match=r"/missing: the server answered 404 Not Found"):
        load(f"{website}/missing")


def test_a_picture_of_the_web_is_refused(website: str) -> None:
    with pytest.raises(InvalidInput, match=r"/picture: is image/png, not text"):
        load(f"{website}/picture")


def test_a_huge_page_of_the_web_is_refused(website: str) -> None:
    with pytest.raises(InvalidInput, match=r"/huge: is larger than the 2 MiB"):
        load(f"{website}/huge")


def test_a_server_that_is_not_there_is_named(closed_port: int) -> None:
    with pytest.raises(InvalidInput, match=rf"http://127\.0\.0\.1:{closed_port}/: can't be fetched"):
        load(f"http://127.0.0.1:{closed_port}/")


@pytest.mark.parametrize("address", ["http://", "http://[", "https://a b/"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="can't be fetched"):
        load(address)
