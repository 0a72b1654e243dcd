"""docs/workers.md: its program runs, and its numbers are those of the code."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from docs.test_documents import blocks, read
from pgflow import PgFlow, WorkerState
from pgflow.worker.heartbeat import LONGEST_INTERVAL
from pgflow.worker.options import WorkerOptions
from pgflow.worker.worker import Worker
from worker.running import query


async def test_the_program_prints_what_it_should(newest_database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for source in blocks("docs/workers.md", "python"):
        exec(compile(source, "docs/workers.md", "exec"), names)
    await names["main"](newest_database_url)
    assert capsys.readouterr().out == "{'greet': 'hello world'}\nok\n"


@pytest.mark.feature("A4.22")
def test_the_statement_asks_workers_to_leave(newest_database_url: str) -> None:
    query(newest_database_url, "select pgflow.register_worker(gen_random_uuid(), 'greeting', 'tests')")
    (statement,) = blocks("docs/workers.md", "sql")
    query(newest_database_url, statement)
    assert query(newest_database_url, "select deprecated_at is not null as asked from pgflow.workers") == [
        {"asked": True}
    ]


def test_every_option_and_state_is_there() -> None:
    text = read("docs/workers.md")
    for option in WorkerOptions.__annotations__:
        assert f"\n| `{option}` |" in text
    for state in WorkerState:
        assert state.value in text


@pytest.mark.feature("A4.11")
def test_defaults_are_those_of_the_code() -> None:
    defaults = {name: each.default for name, each in inspect.signature(Worker).parameters.items()}
    assert (defaults["concurrency"], defaults["heartbeat_interval"]) == (10, LONGEST_INTERVAL)
    assert (defaults["recovery_interval"], LONGEST_INTERVAL) == (20.0, 20.0)
    assert inspect.signature(PgFlow).parameters["pool_size"].default == 3
    assert inspect.signature(PgFlow.stop_worker).parameters["timeout"].default == 30
