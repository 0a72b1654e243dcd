"""Small SQL sources of their own, so that these tests stay true whatever the schema becomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pgflow.schema import Migration, load_migrations

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text to a path below the sources' root, and return the full path."""
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "migrations.lock").touch()

    def write_text(path: str, text: str) -> Path:
        full = tmp_path / path
        full.parent.mkdir(exist_ok=True)
        full.write_text(text)
        return full

    return write_text


@pytest.fixture
def migrations(write: Write, tmp_path: Path) -> tuple[Migration, ...]:
    """Two migrations that make a table and a function."""
    write("tables/notes.sql", "create table pgflow.notes (note text);\n")
    write("migrations/0001_initial.sql", "\\ir ../tables/notes.sql\n")
    write("migrations/0002_count.sql", "create function pgflow.one() returns int language sql as $$ select 1 $$;\n")
    return load_migrations(tmp_path)
