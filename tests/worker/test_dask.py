"""A map that a Dask cluster computes, as in `examples/primes_on_dask.py`."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgflow import Flow, PgFlow
from worker import handlers_elsewhere as elsewhere
from worker.running import eventually, query, tasks

distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow]
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    environment = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))  # before the cluster, whose processes have the same path
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster) as client:
            yield client
    # What the cluster sets for its processes stays behind in this one, PYTHONHASHSEED for example.
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]


async def test_the_example_counts_primes(dask: Any, url: str) -> None:
    example = runpy.run_path(str(EXAMPLES / "primes_on_dask.py"))
    assert await example["count_primes"](dask, 100_000, url) == 9592


async def test_a_map_spreads_over_the_processes_of_a_cluster(dask: Any, url: str) -> None:
    flow = Flow("spread")
    flow.map(elsewhere.burn, slug="burn", executor="dask")
    async with PgFlow(url, flows=[flow], executors={"dask": dask.get_executor()}) as app:
        worker = app.worker(concurrency=8)
        await worker.start()
        output = await (await app.start_flow(flow, [200_000] * 8)).result(60)
        await worker.stop()
    process_ids = {process_id for process_id, _ in output["burn"]}
    assert process_ids <= set(dask.run(elsewhere.process_id, None).values())
    assert len(process_ids) == 2


async def test_a_timeout_cancels_what_the_cluster_has(dask: Any, url: str) -> None:
    flow = Flow("cancelled", max_attempts=1, timeout=1)
    flow.map(elsewhere.sleeps, slug="sleeps", executor="dask", when_exhausted="skip")
    async with PgFlow(url, flows=[flow], executors={"dask": dask.get_executor()}) as app:
        worker = app.worker(concurrency=6)
        await worker.start()
        run = await app.start_flow(flow, [4] * 6)
        known = dask.cluster.scheduler.tasks
        await eventually(lambda: len(known) == 6, "the cluster has the tasks")
        await run.wait(60)
        await eventually(lambda: not known, "the cluster has forgotten them")
        await worker.stop()
    assert {row["error_message"] for row in tasks(url)} <= {"Task timed out after 1s", None}
    assert query(url, "select status from pgflow.runs") == [{"status": "completed"}]
