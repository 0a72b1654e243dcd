"""docs/sql.md: the reference is what the database says, and the examples give what is printed below them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from servers import Server

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sql\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location("document_sql", ROOT / "tools" / "document_sql.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def psql(server: Server, url: str, statements: str) -> str:
    """Run statements as somebody at a terminal would, and return what is printed."""
    command = [str(server.binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", url]
    ended = subprocess.run(command, input=statements, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, f"{statements}\n{ended.stderr}"
    return ended.stdout


def without_trailing_spaces(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def test_the_reference_is_what_the_database_says(tool: ModuleType, newest_database_url: str) -> None:
    with psycopg.connect(newest_database_url) as connection:
        reference = tool.document(connection)
    written = tool.DOCUMENT.read_text(encoding="utf-8").partition(tool.MARKER)[2]
    assert written.strip() == reference.strip(), "run `python tools/document_sql.py`"


def test_all_versions_of_postgresql_give_the_same_reference(tool: ModuleType, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert tool.document(connection).strip() in tool.DOCUMENT.read_text(encoding="utf-8")


def test_every_function_and_every_table_says_what_it_is(tool: ModuleType) -> None:
    assert "None" not in tool.DOCUMENT.read_text(encoding="utf-8")


def test_a_public_function_in_no_group_is_reported(tool: ModuleType, newest_database_url: str) -> None:
    with psycopg.connect(newest_database_url) as connection:
        connection.execute("create function pgflow.surprise() returns int language sql return 1")
        with pytest.raises(ValueError, match="not listed: \\['surprise'\\]"):
            tool.document(connection)


def test_the_examples_print_what_is_below_them(
    tool: ModuleType, newest_server: Server, newest_database_url: str
) -> None:
    examples = BLOCK.findall(tool.DOCUMENT.read_text(encoding="utf-8").partition(tool.MARKER)[0])
    assert examples
    for statements, expected in examples:
        printed = psql(newest_server, newest_database_url, statements)
        if expected:
            assert without_trailing_spaces(printed) == without_trailing_spaces(expected), statements
