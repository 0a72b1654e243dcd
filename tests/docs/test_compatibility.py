"""docs/compatibility.md: what it says is what the tests are marked with, and every row has tests or a reason."""

from __future__ import annotations

import document_compatibility as tool
from document_compatibility import Row
from sql.test_catalog import CONTRACT

TESTED = Row("`one`", "the first", "tests/docs/test_compatibility.py", "")
UNTESTED = Row("`two`", "the second", "", "nobody asked")

# Functions of the contract that only others of it call.
INTERNAL = {
    "_archive_task_message",
    "_cascade_force_skip_steps",
    "_create_flow_from_shape",
    "calculate_retry_delay",
    "cascade_complete_taskless_steps",
    "cascade_resolve_conditions",
    "cleanup_ensure_workers_logs",
    "is_local",
    "is_valid_slug",
    "maybe_complete_run",
    "start_ready_steps",
}


def test_the_page_is_what_tests_are_marked_with() -> None:
    written = tool.DOCUMENT.read_text(encoding="utf-8")
    assert written == tool.document(), "run `python tools/document_compatibility.py`"


def test_every_function_that_other_implementations_call_has_a_row() -> None:
    named = " ".join(f"{row.name} {row.meaning}" for row in tool.listed_rows())
    assert [name for name in CONTRACT.keys() - INTERNAL if f"`{name}`" not in named] == []


def test_rows_are_listed_once() -> None:
    keys = [row.key for row in tool.listed_rows()]
    assert len(set(keys)) == len(keys)


def test_a_row_needs_a_marked_test_or_a_reason() -> None:
    marked = {("typescript", "one"): ["test_one"], ("elixir", "two"): ["test_two"]}
    assert tool.problems([TESTED, UNTESTED], marked) == []
    assert tool.problems([TESTED], {}) == ["row `one` has neither a test marked with typescript nor a reason"]
    assert tool.problems([UNTESTED], {("typescript", "two"): ["test_two"]}) == [
        "row `two` says why TypeScript isn't tested with it, and there is a test"
    ]


def test_a_row_names_a_file_that_is_there() -> None:
    (problem,) = tool.problems([Row("`two`", "the second", "tests/sql/test_none.py", "nobody asked")], {})
    assert problem == "row `two` names tests/sql/test_none.py, which isn't there"


def test_a_mark_names_an_implementation_and_a_row() -> None:
    assert tool.problems([UNTESTED], {("cobol", "three"): ["test_three"]}) == [
        "test_three is marked with 'cobol'; there are typescript, elixir, reference schema",
        "test_three is marked with row three, which tools/compatibility.tsv doesn't list",
    ]
