"""A flow whose handlers write to the database in `ctx.transaction()`, and a program that stops at a chosen point.

`python -m worker.effects URL POINT FILE` works the flow; at the point it makes the file and waits to be killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from pgflow import Context, Flow, PgFlow
from worker.running import query

POINTS = ["before the write", "after the write", "before the commit", "after the commit"]
INSERT = "insert into effects (kind, number) values (%s, %s)"

stop_at: tuple[str, Path] | None = None
flow = Flow("effects", max_attempts=3, base_delay=0)


@flow.map
async def on_loop(number: int, ctx: Context) -> int:
    reach("before the write")
    async with ctx.transaction() as connection:
        await connection.execute(INSERT, ("loop", number))
    reach("after the write")
    return number


@flow.map
def in_thread(number: int, ctx: Context) -> int:
    reach("before the write")
    with ctx.transaction() as connection:
        connection.execute(INSERT, ("thread", number))
    reach("after the write")
    return number


def numbers(url: str) -> list[int]:
    """What has been committed."""
    return [row["number"] for row in query(url, "select number from effects order by number")]


def reach(point: str) -> None:
    """Wait to be killed if that is the point."""
    if stop_at is not None and stop_at[0] == point:
        stop_at[1].touch()
        time.sleep(600)  # blocks the event loop too, which is what is wanted


def watch_commits() -> None:
    """Make the commits of `ctx.transaction()` points too."""
    execute, execute_async = psycopg.Cursor.execute, psycopg.AsyncCursor.execute

    def watched(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if query != "commit":
            return execute(self, query, *arguments, **options)
        reach("before the commit")
        result = execute(self, query, *arguments, **options)
        reach("after the commit")
        return result

    async def watched_async(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if query != "commit":
            return await execute_async(self, query, *arguments, **options)
        reach("before the commit")
        result = await execute_async(self, query, *arguments, **options)
        reach("after the commit")
        return result

    psycopg.Cursor.execute = watched  # type: ignore[method-assign]
    psycopg.AsyncCursor.execute = watched_async  # type: ignore[method-assign]


async def main(url: str) -> None:
    async with PgFlow(url, flows=[flow]) as app:
        await app.run_worker(concurrency=3)


if __name__ == "__main__":
    stop_at = (sys.argv[2], Path(sys.argv[3]))
    watch_commits()
    asyncio.run(main(sys.argv[1]))
