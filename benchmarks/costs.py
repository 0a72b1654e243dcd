"""What calls of the engine cost, by the size of the map and of the batch.

Usage: python benchmarks/costs.py [REPETITIONS]

Runs on an embedded server of its own, with its default settings (full durability), one connection, a fresh database for
each repetition, and prints a Markdown table with the smallest, middle and largest of the repetitions in milliseconds.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from pgflow import calls, embedded, schema
from pgflow.types import StartedTask, TaskReport

WORKER = UUID(int=1)
DEFINE = """
select pgflow.create_flow('root'), pgflow.add_step('root', 'element', step_type => 'map');
select pgflow.create_flow('dependent'), pgflow.add_step('dependent', 'list');
select pgflow.add_step('dependent', 'element', array['list'], step_type => 'map');
"""
START = """
select count(*) from pgflow.start_flow('root', (
  select jsonb_agg(jsonb_build_object('number', i, 'text', repeat('x', 130))) from generate_series(1, %s) i))
"""
COMPLETE_LIST = """
select count(*) from pgflow.complete_task(%s, 'list', 0, (
  select jsonb_agg(jsonb_build_object('number', i, 'text', repeat('x', 130))) from generate_series(1, %s) i))
"""


class Bench:
    """Times calls on one connection and keeps the figures by label."""

    def __init__(self, connection: psycopg.Connection, figures: dict[str, list[float]]) -> None:
        self.connection = connection
        self.figures = figures

    def timed(self, label: str, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query, keep its milliseconds, return its rows."""
        began = time.perf_counter()
        rows = self.connection.execute(query.encode(), arguments).fetchall()
        self.figures[label].append((time.perf_counter() - began) * 1000)
        return rows

    def fetched(self, label: str, flow_slug: str, limit: int) -> list[StartedTask]:
        """Claim tasks of a flow."""
        call = calls.fetch_tasks(flow_slug, WORKER, limit)
        return call.decode(self.timed(label, call.sql, call.arguments))

    def complete(self, label: str, tasks: Sequence[StartedTask]) -> None:
        """Report the tasks as completed, in one batch."""
        reports = [TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, b"1") for task in tasks]
        call = calls.complete_tasks(reports)
        self.timed(label, call.sql, call.arguments)

    def reset(self) -> None:
        """Delete everything and define the flows anew."""
        for flow_slug in ("root", "dependent"):
            self.connection.execute("select pgflow.delete_flow_and_data(%s)", (flow_slug,))
        self.connection.execute(DEFINE)


def measure(bench: Bench) -> None:
    """Take every figure once."""
    bench.connection.execute("select pgflow.register_worker(%s, 'root', 'bench')", (WORKER,))
    for size in (1_000, 10_000):
        bench.reset()
        bench.timed(f"start a map of {size:,}", START, (size,))
        began = time.perf_counter()
        while tasks := bench.fetched("ignored", "root", 500):
            bench.complete("ignored", tasks)
        bench.figures[f"claim and complete all {size:,} in batches of 500"].append((time.perf_counter() - began) * 1000)
    for size in (200, 10_000):
        bench.reset()
        bench.connection.execute("select pgflow.start_flow('dependent', '1')")
        [task] = bench.fetched("ignored", "dependent", 1)
        bench.timed(f"complete the parent of a map of {size:,}", COMPLETE_LIST, (task.run_id, size))
        bench.fetched("ignored", "dependent", 10)
        bench.fetched(f"claim 100 of a dependent map of {size:,}", "dependent", 100)
    bench.reset()
    bench.timed("ignored", START, (2_222,))
    for size in (1, 10, 100, 1_000):
        tasks = bench.fetched(f"claim a batch of {size:,}", "root", size)
        bench.complete(f"complete a batch of {size:,}", tasks)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.start(Path(folder))
        try:
            with psycopg.connect(server.url, autocommit=True) as admin:
                for _ in range(repetitions):
                    name = f"costs_{uuid4().hex}"
                    admin.execute(f"create database {name}".encode())
                    with psycopg.connect(server.url, dbname=name, autocommit=True) as connection:
                        schema.migrate(connection)
                        measure(Bench(connection, figures))
                    admin.execute(f"drop database {name} with (force)".encode())
                version = admin.info.server_version // 10_000
        finally:
            embedded.stop(Path(folder))
    del figures["ignored"]
    print(f"PostgreSQL {version}, {platform.machine()}, {repetitions} repetitions, milliseconds\n")
    print("| Call | min | median | max |\n|---|---|---|---|")
    for label, taken in figures.items():
        print(f"| {label} | {min(taken):.1f} | {statistics.median(taken):.1f} | {max(taken):.1f} |")


if __name__ == "__main__":
    main()
