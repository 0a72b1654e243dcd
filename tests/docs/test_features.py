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


@pytest.mark.parametrize(("part", "count"), [("A1", 19), ("A2", 18), ("A3", 8), ("A4", 23), ("A5", 26)])
def test_no_row_is_left_out(tool: ModuleType, part: str, count: int) -> None:
    rows = [feature.row for feature in tool.features() if feature.row.startswith(f"{part}.")]
    assert rows == [f"{part}.{number}" for number in range(1, count + 1)]


def test_a_row_needs_a_marked_test_or_a_reason(tool: ModuleType) -> None:
    offered, absent = tool.Feature("X1", "One", "`call`"), tool.Feature("X2", "Two", "not offered: nobody asked")
    assert tool.problems([offered, absent], {"X1": ["test_one"]}) == []
    assert tool.problems([offered, absent], {}) == [
        "row X1 (One) has neither a marked test nor a reason why it is not offered"
    ]


def test_a_mark_names_a_row_that_is_offered(tool: ModuleType) -> None:
    absent = tool.Feature("X2", "Two", "not offered: nobody asked")
    assert tool.problems([absent], {"X2": ["test_two"], "X3": ["test_three"]}) == [
        "test_two is marked with row X2, which is said not to be offered",
        "test_three is marked with row X3, which tools/features.tsv doesn't list",
    ]


def test_tests_in_classes_are_found(tool: ModuleType) -> None:
    found = tool.marked_tests()["A1.19"]
    assert "tests/worker/test_application.py::TestHealth::test_without_a_database_it_is_down" in found


def test_every_call_that_is_named_exists(tool: ModuleType) -> None:
    text = tool.DOCUMENT.read_text(encoding="utf-8")
    for owner, kind in (("app", PgFlow), ("calls", calls), ("execution", execution)):
        named = set(re.findall(rf"`{owner}\.(\w+)", text)) - {"flows"}
        assert [name for name in sorted(named) if not hasattr(kind, name)] == []
