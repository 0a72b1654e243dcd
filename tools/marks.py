"""Which tests are marked with what, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Test = ast.FunctionDef | ast.AsyncFunctionDef


def marked_tests(mark: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the tests that bear a mark, in their order, and its arguments; a test that bears two is yielded twice."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        for name, test in _tests_of(ast.parse(path.read_text(encoding="utf-8"))):
            for arguments in _arguments(test, f"pytest.mark.{mark}"):
                yield f"{path.relative_to(ROOT)}::{name}", arguments


def shown(tests: list[str]) -> str:
    """Return the first two tests with their files, and how many more there are."""
    named = [f"`{test}`" for test in tests[:2]]
    more = [f"{len(tests) - 2} more"] if len(tests) > 2 else []
    return ", ".join([*named, *more])


def _tests_of(scope: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Test]]:
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _tests_of(node, f"{prefix}{node.name}::")


def _arguments(test: Test, mark: str) -> Iterator[list[str]]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == mark:
            yield [str(argument.value) for argument in decorator.args if isinstance(argument, ast.Constant)]
