"""SIGTERM in the middle of a lot of work: nothing waits for its visibility timeout afterwards."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter

import pytest

from pgflow import PgFlow
from worker import load
from worker.running import DEADLINE_SECONDS, eventually, query

SHORT, LONG = 0.02, 600.0


def start_process(url: str, timeout: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "dev", "-W", "error", load.__file__ or "", url, str(timeout)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def completed(url: str) -> int:
    return int(query(url, "select count(*) from pgflow.step_tasks where status = 'completed'")[0]["count"])


@pytest.mark.parametrize("signals", [1, 2], ids=["after its time", "at the second signal"])
async def test_what_a_worker_had_in_its_hands_is_free_when_it_has_ended(app: PgFlow, url: str, signals: int) -> None:
    await app.ensure_compiled(load.flow)
    # More long ones than handlers at once: some run, some wait in the worker, some in the queue.
    await app.start_flow(load.flow, [SHORT] * 300 + [LONG] * 60 + [SHORT] * 20)
    process = start_process(url, 0.2 if signals == 1 else LONG)
    try:
        await eventually(lambda: completed(url) > 100 and running_long(url) > 5, "it works on short and long tasks")
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)  # two signals at once would be one
        output, _ = await asyncio.to_thread(process.communicate, timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "abandons" in output
    tasks = query(url, "select status, attempts_count from pgflow.step_tasks")
    assert Counter(row["status"] for row in tasks).keys() == {"completed", "queued"}
    assert {row["attempts_count"] for row in tasks if row["status"] == "queued"} == {0}
    late = query(url, "select message from pgmq.q_load where vt > clock_timestamp()")
    assert late == [], "nothing waits for its visibility timeout"
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]


def running_long(url: str) -> int:
    query_text = "select count(*) from pgflow.step_tasks where status = 'started' and task_index between 300 and 359"
    return int(query(url, query_text)[0]["count"])


async def test_all_that_was_given_back_is_worked_by_the_next_worker(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(load.flow)
    run = await app.start_flow(load.flow, [0.3] * 60)
    first = start_process(url, 0)
    second = None
    try:
        await eventually(lambda: completed(url) > 5, "the first worker works")
        second = start_process(url, LONG)
        first.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(first.communicate, timeout=DEADLINE_SECONDS)
        assert first.returncode == 0, output
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
        second.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(second.communicate, timeout=DEADLINE_SECONDS)
        assert second.returncode == 0, output
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()
    assert {row["attempts_count"] for row in query(url, "select attempts_count from pgflow.step_tasks")} == {1}
