"""docs/features.md: what it says is what the tests are marked with, and every row has tests or a reason."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pgflow import PgFlow, calls, execution

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("document_features", ROOT / "tools" / "document_features.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_tests_are_marked_with(tool: ModuleType) -> None:
    written = tool.DOCUMENT.read_text(encoding="utf-8")
    assert written == tool.document(), "run `python tools/document_features.py`"


def test_rows_are_listed_once(tool: ModuleType) -> None:
    rows = [feature.row for feature in tool.features()]
    assert len(set(rows)) == len(rows)


def test_every_call_that_is_named_exists(tool: ModuleType) -> None:
    text = tool.DOCUMENT.read_text(encoding="utf-8")
    for owner, kind in (("app", PgFlow), ("calls", calls), ("execution", execution)):
        named = set(re.findall(rf"`{owner}\.(\w+)", text)) - {"flows"}
        assert [name for name in sorted(named) if not hasattr(kind, name)] == []
