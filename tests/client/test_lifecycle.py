"""Opening, closing and sharing clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from client.flows import greeting
from pgflow import PgFlow, sync

WITHOUT_CLOSING = """
import sys
from pgflow.sync import PgFlow
client = PgFlow(sys.argv[1])
print(client.start_flow("greeting", 1).status)
"""


@pytest.mark.feature("A1.3")
async def test_a_client_opens_on_first_use(shared_url):
    client = PgFlow(shared_url)
    assert await client.ensure_compiled(greeting) == "compiled"
    await client.close()


async def test_a_closed_client_opens_again(shared_url):
    client = PgFlow(shared_url)
    for expected in ("compiled", "verified"):
        assert await client.ensure_compiled(greeting) == expected
        await client.close()
        await client.close()


def test_a_blocking_client_is_shared_between_threads(shared_url):
    with sync.PgFlow(shared_url, pool_size=2) as client, ThreadPoolExecutor(8) as threads:
        client.ensure_compiled(greeting)
        runs = list(threads.map(lambda number: client.start_flow(greeting, number), range(40)))
    assert [run.input for run in runs] == list(range(40))


async def test_more_tasks_than_connections_take_turns(shared_url):
    async with PgFlow(shared_url, pool_size=1) as client:
        await client.ensure_compiled(greeting)
        runs = await asyncio.gather(*(client.start_flow(greeting, number) for number in range(20)))
        assert sorted(run.input for run in runs) == list(range(20))


async def test_many_who_open_at_once_open_one_pool(shared_url):
    client = PgFlow(shared_url)
    await asyncio.gather(*(client.open() for _ in range(5)))
    await client.close()


async def test_a_cancelled_call_leaves_the_client_usable(shared_url):
    async with PgFlow(shared_url, pool_size=1) as client:
        await client.ensure_compiled(greeting)
        for _ in range(5):
            started = asyncio.create_task(client.start_flow(greeting, 1))
            await asyncio.sleep(0)
            started.cancel()
            await asyncio.gather(started, return_exceptions=True)
        assert await client.ensure_compiled(greeting) == "verified"


@pytest.mark.feature("A1.3")
@pytest.mark.parametrize("kind", [PgFlow, sync.PgFlow])
@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_connections_is_refused(kind, size):
    with pytest.raises(ValueError, match=f"pool_size must be at least 1, not {size}"):
        kind("postgresql:///x", pool_size=size)


def test_a_program_that_never_closes_its_client_ends_quietly(shared_url):
    with sync.PgFlow(shared_url) as client:
        client.ensure_compiled(greeting)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_CLOSING, shared_url], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "started\n", "")
