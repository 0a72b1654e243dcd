"""Count primes with the processes of a Dask cluster: `python examples/primes_on_dask.py 200000`.

Needs `pip install "pgflow-py[embedded]" distributed`. The handlers are in a module of their own, `primes.py`, because
the processes of the cluster import them. Instead of a local cluster, give `Client` the address of a real one.
"""

from __future__ import annotations

import asyncio
import sys

from distributed import Client, LocalCluster

from pgflow import PgFlow
from primes import primes


async def count_primes(dask: Client, limit: int, url: str | None = None) -> int:
    """Count the primes below a limit; the elements of the map are computed by Dask."""
    async with PgFlow(url, flows=[primes], executors={"dask": dask.get_executor()}) as app:
        worker = app.worker(concurrency=16)
        await worker.start()
        try:
            run = await app.start_flow(primes, limit)
            output = await run.result(timeout=120)
        finally:
            await worker.stop()
    return int(output["total"])


if __name__ == "__main__":
    with LocalCluster(n_workers=4, threads_per_worker=1) as cluster, Client(cluster) as dask:
        print(asyncio.run(count_primes(dask, int(sys.argv[1]))))
