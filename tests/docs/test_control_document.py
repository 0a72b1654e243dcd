"""docs/control.md: its examples are one program that prints what they say."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from docs.test_documents import blocks

PROGRAM = "\n".join(blocks("docs/control.md", "python"))


async def test_the_examples_print_what_they_say(newest_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setenv("PGFLOW_DATABASE_URL", newest_database_url)
    names: dict[str, Any] = {
        "__name__": "example",
        "print": lambda *values: printed.append(" ".join(map(str, values))),
    }
    running = eval(compile(PROGRAM, "docs/control.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    try:
        await running
    finally:
        await names["app"].close()
    assert printed == re.findall(r"^\s*print\(.*\)  # (.*)$", PROGRAM, re.MULTILINE)
