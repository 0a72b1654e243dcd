"""What the three references cost that step_states and step_tasks do without.

Usage: python benchmarks/foreign_keys.py [REPETITIONS]

Runs on an embedded server of its own, with its default settings (full durability), and prints the smallest, middle and
largest of the repetitions, which alternate between a schema with and one without them.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import psycopg

from pgflow import embedded, schema

ADD_REFERENCES = """
alter table pgflow.step_states
  add constraint step_states_flow_slug_fkey foreign key (flow_slug) references pgflow.flows;
alter table pgflow.step_tasks
  add constraint step_tasks_flow_slug_fkey foreign key (flow_slug) references pgflow.flows,
  add constraint step_tasks_run_id_fkey foreign key (run_id) references pgflow.runs;
"""
DEFINE = """
select pgflow.create_flow('mapped');
select pgflow.add_step('mapped', 'element', step_type => 'map');
select pgflow.create_flow('single');
select pgflow.add_step('single', 'only');
"""
START_MAP = "select count(*) from pgflow.start_flow('mapped', (select jsonb_agg(i) from generate_series(1, 10000) i))"
START_RUNS = """
select count(*) from pgflow.start_flows('single', array(select to_jsonb(i) from generate_series(1, 5000) i))
"""


def milliseconds(connection: psycopg.Connection, query: str) -> float:
    """Return how long a query takes."""
    began = time.perf_counter()
    connection.execute(query.encode()).fetchall()
    return (time.perf_counter() - began) * 1000


def measure(server_url: str, *, with_references: bool) -> tuple[float, float]:
    """Return the milliseconds to start a map of 10,000 elements and 5,000 runs of one step, in a fresh database."""
    name = f"foreign_keys_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f"create database {name}".encode())
        try:
            with psycopg.connect(server_url, dbname=name, autocommit=True) as connection:
                schema.migrate(connection)
                if with_references:
                    connection.execute(ADD_REFERENCES)
                connection.execute(DEFINE)
                return milliseconds(connection, START_MAP), milliseconds(connection, START_RUNS)
        finally:
            server.execute(f"drop database {name} with (force)".encode())


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    results: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.start(Path(folder))
        try:
            for _ in range(repetitions):
                for with_references, measured in results.items():
                    measured.append(measure(server.url, with_references=with_references))
            with psycopg.connect(server.url) as connection:
                version = connection.info.server_version // 10_000
        finally:
            embedded.stop(Path(folder))
    print(f"PostgreSQL {version}, {platform.machine()}, {repetitions} repetitions; min, median, max in ms")
    for index, label in enumerate(("map of 10,000 elements", "5,000 runs of one step")):
        for with_references, measured in results.items():
            figures = [figure[index] for figure in measured]
            spread = f"{min(figures):7.0f} {statistics.median(figures):7.0f} {max(figures):7.0f}"
            print(f"{label:24} {'with' if with_references else 'without':8} {spread}")


if __name__ == "__main__":
    main()
