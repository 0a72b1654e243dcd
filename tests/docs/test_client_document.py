"""docs/client.md: its examples are one program that prints what they say, and no call of a client is missing."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from pgflow import InvalidInput, PgFlow, Run, SchemaError

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs/client.md").read_text(encoding="utf-8")
PROGRAM = "\n".join(re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
PROMISED = re.findall(r"^\s*print\(.*\)  # (.*)$", PROGRAM, re.MULTILINE)


def members(kind: type[Any]) -> list[str]:
    return [name for name, value in inspect.getmembers(kind) if inspect.isfunction(value) and not name.startswith("_")]


async def test_the_examples_print_what_they_say(newest_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setenv("PGFLOW_DATABASE_URL", newest_database_url)
    namespace: dict[str, Any] = {
        "__name__": "example",
        "print": lambda *values: printed.append(" ".join(map(str, values))),
    }
    code = compile(PROGRAM, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, namespace)
    try:
        await running
    finally:
        await namespace["app"].close()
    assert printed == PROMISED


@pytest.mark.parametrize("name", sorted({*members(PgFlow), *members(Run)}))
def test_every_call_is_in_an_example_or_in_the_text_beside_one(name: str) -> None:
    documents = [path.read_text(encoding="utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]]
    assert any(re.search(rf"\b{name}\b", text) for text in documents)


async def test_reads_work_where_nothing_can_be_written(newest_database_url: str) -> None:
    async with PgFlow(newest_database_url) as primary:
        await primary.upsert_flow("flow", [{"slug": "a"}])
        run = await primary.start_flow("flow", 1)
    replica = f"{newest_database_url}&options=-c%20default_transaction_read_only%3Don"
    async with PgFlow(replica, listen=False) as app:
        assert [each.run_id for each in await app.list_runs()] == [run.run_id]
        assert await app.count_runs() == 1
        assert (await app.get_run_with_states(run.run_id)).step("a").status == "started"
        assert await app.get_flow_input(run.run_id) == 1
        assert await app.get_step_output(run.run_id, "a", "none") == "none"
        assert len(await app.list_tasks(run.run_id)) == 1
        assert (await app.get_flow("flow")).slug == "flow"
        assert await app.flow_exists("flow")
        for refused in (app.start_flow("flow", 1), app.prune(1), app.delete_flow("flow")):
            with pytest.raises(SchemaError, match="connect to the primary"):
                await refused
        with pytest.raises(InvalidInput):
            await app.list_runs(limit=0)
