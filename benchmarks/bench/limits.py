"""What the same server does at best: a trivial commit, the least transaction of a durable task, the bare queue."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from pgmq.install import get_embedded_install_sql

from bench.servers import Postgres

_DATABASE = "limits"
_COMMITS = 200
_QUEUE_BATCH = 100
_PGBENCH_CLIENTS = 10
_LEAST_TASK = """
begin;
insert into least (state) values ('queued') returning id as key \\gset
update least set state = 'completed' where id = :key;
delete from least where id = :key;
end;
"""


def measure_limits(server: Postgres, messages: int, seconds: int) -> dict[str, Any]:
    """Measure all limits once, in a database of their own."""
    url = server.create_database(_DATABASE)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table least (id bigint generated always as identity primary key, state text)")
            connection.execute(get_embedded_install_sql())
            return {
                "commit_milliseconds": _commit_milliseconds(connection),
                "queue_per_second": _queue_per_second(connection, messages),
                "least_task_per_second": _least_task_per_second(server, url, seconds),
            }
    finally:
        server.drop_database(_DATABASE)


def _commit_milliseconds(connection: psycopg.Connection[Any]) -> float:
    """Return the median of inserting a row in a transaction of its own."""
    taken = []
    for _ in range(_COMMITS):
        began = time.perf_counter()
        connection.execute("insert into least (state) values ('x')")
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _queue_per_second(connection: psycopg.Connection[Any], messages: int) -> float:
    """Return how many messages a second go through pgmq.send_batch, read and archive, in batches on one connection."""
    connection.execute("select pgmq.create('limit')")
    began = time.perf_counter()
    for _ in range(messages // _QUEUE_BATCH):
        query = "select pgmq.send_batch('limit', array(select to_jsonb(i) from generate_series(1, %s) i))"
        connection.execute(query, [_QUEUE_BATCH])
    done = 0
    while rows := connection.execute("select msg_id from pgmq.read('limit', 30, %s)", [_QUEUE_BATCH]).fetchall():
        connection.execute("select pgmq.archive('limit', %s::bigint[])", [[row[0] for row in rows]])
        done += len(rows)
    return done / (time.perf_counter() - began)


def _least_task_per_second(server: Postgres, url: str, seconds: int) -> float | None:
    """Return how many transactions a second pgbench makes that insert, update and delete a row."""
    program = server.programs / "pgbench"
    if not program.exists():
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_LEAST_TASK)
        script.flush()
        command = [str(program), "-n", "-c", str(_PGBENCH_CLIENTS), "-T", str(seconds), "-f", script.name, url]
        output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path("/")).stdout
    found = re.search(r"tps = ([\d.]+)", output)
    assert found is not None, output
    return float(found[1])
