"""docs/handlers.md: its code runs, and its tables are those of the code."""

from __future__ import annotations

import inspect
import re
from typing import Any

from docs.test_documents import blocks, read
from pgflow import Context, NonRetryable, PgFlow, Retry, Snooze
from pgflow.errors import TransactionFailed
from pgflow.serialize import ERROR_LIMIT
from pgflow.worker import attempt, processes
from pgflow.worker.executor import ABANDONED_LIMIT
from worker.running import query, worked

NAME = "docs/handlers.md"
OF_CONTEXT = {"run_id", "flow_slug", "step_slug", "task_index", "attempt", "max_attempts", "deadline", "logger"}


def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in blocks(NAME, "python"):
        exec(compile(source, NAME, "exec"), found)
    return found


def test_places_are_where_the_document_says() -> None:
    steps = names()["flow"].steps
    places = {slug: "loop" if step.is_async else step.executor for slug, step in steps.items()}
    assert places == {"fetch": "loop", "parse": "thread", "crunch": "process", "simulate": "dask"}


async def test_payments_are_booked_once(newest_database_url: str) -> None:
    query(newest_database_url, "create table payments (number int primary key)")
    query(newest_database_url, "create table balances (amount int)")
    async with PgFlow(newest_database_url) as app:
        assert (await worked(app, names()["payments"], {"number": 7})).output == {"balance": 1}
    assert query(newest_database_url, "select * from payments, balances") == [{"number": 7, "amount": 1}]


def test_everything_of_the_context_is_there() -> None:
    members = {name for name in vars(Context) if not name.startswith("_")} - {"end"}
    (table,) = [part for part in read(NAME).split("\n\n") if part.startswith("| Name | What it is |")]
    assert OF_CONTEXT | members == set(re.findall(r"`(\w+)(?:\(\))?`", table)) - {"def"}


def test_numbers_are_those_of_the_code() -> None:
    text = " ".join(read(NAME).split())
    assert (ABANDONED_LIMIT, "up to ten more that were left behind" in text) == (10, True)
    assert (processes.TASKS_PER_PROCESS, "replaced after 100 tasks" in text) == (100, True)
    assert (attempt.CANCELLATION_SECONDS, "five seconds later" in text) == (5, True)
    assert f"{ERROR_LIMIT:,} characters" in text


def test_errors_are_named() -> None:
    for error in (Retry, NonRetryable, Snooze, TransactionFailed):
        assert f"`{error.__name__}" in read(NAME) or f"raise {error.__name__}(" in read(NAME)
        assert inspect.getdoc(error)
