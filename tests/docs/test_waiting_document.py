"""The example of docs/waiting.md."""

from __future__ import annotations

from typing import Any

import pytest

from docs.test_documents import blocks
from pgflow import Flow, PgFlow


async def test_the_example_follows_a_run(newest_database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks("docs/waiting.md", "python")
    names: dict[str, Any] = {}
    exec(compile(source, "docs/waiting.md", "exec"), names)
    flow = Flow("followed")

    @flow.step
    async def double(value: int) -> int:
        return 2 * value

    async with PgFlow(newest_database_url) as app:
        worker = app.worker(flow)
        await worker.start()
        run = await app.start_flow(flow, 21)
        await names["follow"](app, str(run.run_id))
        await worker.stop()
    assert capsys.readouterr().out == "double 42\nfollowed {'double': 42}\n"
