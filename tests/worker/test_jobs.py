"""Jobs are worked like flows."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from pgflow import Context, Flow, PgFlow, job, sync
from worker import handlers_elsewhere as elsewhere
from worker.running import DEADLINE_SECONDS, query, worked, working


class Message(BaseModel):
    to: str
    copies: list[str] = []


async def test_a_job_receives_its_input_and_gives_its_output(app: PgFlow) -> None:
    @job(max_attempts=2)
    async def send_email(message: Message, ctx: Context) -> dict[str, Any]:
        return {"to": message.to, "attempt": ctx.attempt}

    run = await worked(app, send_email, {"to": "ada@example.com"})
    assert run.output == {"send_email": {"to": "ada@example.com", "attempt": 1}}


async def test_a_job_that_fails_is_tried_again(app: PgFlow) -> None:
    @job(max_attempts=2, base_delay=0)
    def flaky(value: Any, ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return ctx.attempt

    assert (await worked(app, flaky, 0)).output == {"flaky": 2}


async def test_a_blocking_job_is_worked_by_an_async_worker(app: PgFlow) -> None:
    @sync.job
    def double(number: int) -> int:
        return 2 * number

    assert (await worked(app, double, 4)).output == {"double": 8}


async def test_a_job_enqueues_another(url: str) -> None:
    @job
    async def second(number: int) -> int:
        return number + 1

    @job
    async def first(number: int) -> str:
        return str((await second.enqueue(number)).run_id)

    async with PgFlow(url, jobs=[first, second]) as app, working(app, *app.flows):
        run = await first.enqueue(1)
        output = await run.result(DEADLINE_SECONDS)
        following = await app.get_run(output["first"])
        assert await following.result(DEADLINE_SECONDS) == {"second": 2}


async def test_a_job_that_is_held_back_is_worked_when_it_is_due(url: str) -> None:
    @job
    def due(value: Any) -> None: ...

    async with PgFlow(url, jobs=[due]) as app, working(app, due):
        later = await due.enqueue_at(datetime.now(UTC) + timedelta(hours=1), 1)
        soon = await due.enqueue_in(1, 1)
        await soon.wait(DEADLINE_SECONDS)
        [times] = query(url, "select completed_at - started_at as took from pgflow.runs where run_id = %s", soon.run_id)
        assert times["took"] >= timedelta(seconds=0.9)
        assert (await later.refresh()).status == "started"


async def test_a_job_runs_in_another_process(app: PgFlow) -> None:
    run = await worked(app, elsewhere.process_id_of_a_job, {"number": 1})
    process_id, kind = run.output["process_id_of_a_job"]
    assert (process_id != os.getpid(), kind) == (True, "Order")


async def test_the_function_of_a_job_is_a_step_too(app: PgFlow) -> None:
    @job
    async def shout(text: str) -> str:
        return text.upper()

    flow = Flow("shouting")
    flow.step(shout)

    @flow.step(depends_on=[shout])
    def twice(deps: dict[str, str]) -> str:
        return 2 * deps["shout"]

    assert (await worked(app, flow, "a")).output == {"twice": "AA"}
