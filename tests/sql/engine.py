"""Words for tests of the SQL engine: define a flow, start it, work its tasks, look at what there is then.

Everything is a plain function over a connection. JSON null is :data:`JSON_NULL` and SQL NULL is `None`, both ways,
on connections that `load_json_null` has prepared, as the fixture `connection` is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb, set_json_loads

Connection: TypeAlias = psycopg.Connection[DictRow]
Row: TypeAlias = dict[str, Any]
RunId: TypeAlias = UUID | str

FLOW = "flow"
WORKER = UUID("00000000-0000-0000-0000-00000000a001")
OTHER_WORKER = UUID("00000000-0000-0000-0000-00000000a002")
UNKNOWN = UUID("00000000-0000-0000-0000-00000000dead")


class _JsonNull:
    def __repr__(self) -> str:
        return "JSON_NULL"


JSON_NULL: Final = _JsonNull()


def connect(url: str, **options: Any) -> Connection:
    """Open one more connection to a database, which reads as the fixture `connection` does."""
    connection = psycopg.connect(url, row_factory=dict_row, **options)
    load_json_null(connection)
    return connection


def load_json_null(connection: Connection) -> None:
    """Read a jsonb null as :data:`JSON_NULL`, which psycopg reads as `None` like SQL NULL."""
    set_json_loads(_load_json, connection)


def as_json(value: object) -> Jsonb | None:
    """Turn a value into a parameter of type jsonb: `None` is SQL NULL."""
    if value is None:
        return None
    return Jsonb(None if value is JSON_NULL else value)


# Questions to the database


def rows(connection: Connection, query: str, *parameters: object) -> list[Row]:
    return connection.execute(query, parameters or None).fetchall()


def row(connection: Connection, query: str, *parameters: object) -> Row:
    [only] = rows(connection, query, *parameters)
    return only


def value(connection: Connection, query: str, *parameters: object) -> Any:
    [only] = row(connection, query, *parameters).values()
    return only


@contextmanager
def refused(connection: Connection, sqlstate: str, text: str = "") -> Iterator[None]:
    """Expect an error with this SQLSTATE whose message contains a text; the transaction goes on afterwards."""
    with pytest.raises(psycopg.Error, match=re.escape(text) or None) as caught, connection.transaction():
        yield
    assert caught.value.sqlstate == sqlstate


def set_clock(connection: Connection, time: str) -> None:
    """Set the engine's clock until the end of the transaction."""
    connection.execute("select set_config('pgflow.now', %s, true)", (time,))


# Definitions


def step(text: str, **options: object) -> Row:
    """Describe a step: `"b < a"` is a step behind a, `"c* < b"` a map over b; options are those of `add_step`."""
    slug, _, dependencies = (part.strip() for part in text.partition("<"))
    kind = "map" if slug.endswith("*") else "single"
    return {"step_slug": slug.rstrip("*"), "step_type": kind, "deps_slugs": dependencies.split(), **options}


def add_step(connection: Connection, text: str, *, flow: str = FLOW, **options: Any) -> Row:
    arguments = {"flow_slug": flow, **step(text, **options)}
    for name in ("required_input_pattern", "forbidden_input_pattern"):
        if name in arguments:
            arguments[name] = as_json(arguments[name])
    return _call(connection, "add_step", arguments)[0]


def create_flow(connection: Connection, slug: str = FLOW, /, **options: object) -> Row:
    return _call(connection, "create_flow", {"flow_slug": slug, **options})[0]


def define(connection: Connection, *steps: str | Row, flow: str = FLOW, **options: object) -> str:
    """Create a flow with its steps, each a text or a :func:`step`, and return its slug."""
    create_flow(connection, flow, **options)
    for described in steps:
        arguments = dict(step(described) if isinstance(described, str) else described)
        star = "*" if arguments.pop("step_type") == "map" else ""
        text = f"{arguments.pop('step_slug')}{star} < {' '.join(arguments.pop('deps_slugs'))}"
        add_step(connection, text, flow=flow, **arguments)
    return flow


# Runs


def start_run(
    connection: Connection, run_input: object = JSON_NULL, flow: str = FLOW, run_id: RunId | None = None
) -> Row:
    """Start a run and return the row that `start_flow` returns. The input is JSON null unless given."""
    return _call(connection, "start_flow", {"flow_slug": flow, "input": as_json(run_input), "run_id": run_id})[0]


def start(connection: Connection, run_input: object = JSON_NULL, flow: str = FLOW) -> UUID:
    """Start a run and return its id. The input is JSON null unless given."""
    run_id = start_run(connection, run_input, flow)["run_id"]
    assert isinstance(run_id, UUID)
    return run_id


def register(connection: Connection, worker: UUID = WORKER, flow: str = FLOW) -> UUID:
    """Register a worker, once more if need be."""
    connection.execute("select pgflow.register_worker(%s, %s, 'tests')", (worker, flow))
    return worker


# Tasks


def read(connection: Connection, flow: str = FLOW, limit: int = 100, visibility: int = 5) -> list[int]:
    """Read visible messages as a worker does and return their ids."""
    return [
        found["msg_id"]
        for found in rows(connection, "select msg_id from pgmq.read(%s, %s, %s)", flow, visibility, limit)
    ]


def start_tasks(
    connection: Connection, message_ids: Sequence[int] | None, *, flow: str = FLOW, worker: UUID = WORKER
) -> list[Row]:
    """Start the tasks of these messages by a worker who is registered; ordered by step and index."""
    query = "select * from pgflow.start_tasks(%s, %s::bigint[], %s) order by run_id, step_slug, task_index"
    return rows(connection, query, flow, None if message_ids is None else list(message_ids), worker)


def claim(connection: Connection, flow: str = FLOW, limit: int = 100) -> list[Row]:
    """Read messages and start their tasks by the contract's two calls."""
    register(connection, flow=flow)
    return start_tasks(connection, read(connection, flow, limit), flow=flow)


def fetch(connection: Connection, flow: str = FLOW, limit: int = 100, worker: UUID = WORKER) -> list[Row]:
    """Read messages and start their tasks in one call; rows of type `started_task`, ordered by step and index."""
    register(connection, worker, flow)
    query = "select * from pgflow.fetch_tasks(%s, %s, %s) order by run_id, step_slug, task_index"
    return rows(connection, query, flow, worker, limit)


def begin(connection: Connection, run_id: RunId, step_slug: str) -> list[Row]:
    """Start all queued tasks of a step, whether their messages are visible or not."""
    flow = run(connection, run_id)["flow_slug"]
    register(connection, flow=flow)
    return start_tasks(connection, [found["message_id"] for found in tasks(connection, run_id, step_slug)], flow=flow)


def complete(connection: Connection, run_id: RunId, step_slug: str, output: object = None, index: int = 0) -> Row:
    """Report a completed task, which must be there, and return its row."""
    query = "select * from pgflow.complete_task(%s, %s, %s, %s)"
    return row(connection, query, run_id, step_slug, index, as_json(output))


def fail(connection: Connection, run_id: RunId, step_slug: str, error: str | None = "boom", index: int = 0) -> Row:
    """Report a failed task, which must be there, and return its row."""
    return row(connection, "select * from pgflow.fail_task(%s, %s, %s, %s)", run_id, step_slug, index, error)


def finish(connection: Connection, run_id: RunId, step_slug: str, *outputs: object) -> None:
    """Start all tasks of a step and complete them in order, each with its output; SQL NULL unless given."""
    begin(connection, run_id, step_slug)
    for index, output in enumerate(outputs or (None,)):
        complete(connection, run_id, step_slug, output, index)


def exhaust(connection: Connection, run_id: RunId, step_slug: str, error: str = "boom", index: int = 0) -> Row:
    """Start and fail a task until nobody retries it, and return its row."""
    while state(connection, run_id, step_slug)["status"] == "started":
        begin(connection, run_id, step_slug)
        fail(connection, run_id, step_slug, error, index)
    return task(connection, run_id, step_slug, index)


Report: TypeAlias = tuple[RunId, str, int, object, int | None]
"""A report of a batch: run, step, task index, output or error, attempt."""


def complete_batch(connection: Connection, *reports: Report) -> list[int]:
    """Report a batch of completed tasks; the positions, from 1, of those that counted, ascending."""
    query = "select pgflow.complete_tasks(%s::uuid[], %s::text[], %s::int[], %s::jsonb[], %s::int[])"
    columns = _columns(reports)
    columns[3] = [as_json(output) for output in columns[3]]
    return sorted(value(connection, query, *columns))


def fail_batch(connection: Connection, *reports: Report) -> list[int]:
    """Report a batch of failed tasks; the positions, from 1, of those that counted, ascending."""
    query = "select pgflow.fail_tasks(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[])"
    return sorted(value(connection, query, *_columns(reports)))


# What there is


def release(connection: Connection, *reports: Report, worker_ids: Sequence[UUID] | None = None) -> list[int]:
    """Give tasks back: run, step, index, delay, attempt each; return the positions that counted."""
    run_ids, step_slugs, indexes, delays, attempts = _columns(reports)
    query = "select pgflow.release_tasks(%s::uuid[], %s::text[], %s::int[], %s::int[], %s::int[], %s::uuid[])"
    positions = value(connection, query, run_ids, step_slugs, indexes, attempts, delays, worker_ids)
    assert isinstance(positions, list)
    return positions


def exchange(
    connection: Connection,
    completed: Sequence[Report] = (),
    failed: Sequence[Report] = (),
    *,
    flows: Sequence[str] = (FLOW,),
    limit: int = 100,
    worker: UUID = WORKER,
    since: Sequence[datetime | None] | None = None,
) -> Row:
    """Report tasks, first those completed, and take new ones; a worker of the same id is registered for all flows."""
    register(connection, worker, flows[0] if flows else FLOW)
    run_ids, step_slugs, indexes, _, attempts = _columns([*completed, *failed])
    outputs = [as_json(output) for _, _, _, output, _ in completed] + [None] * len(failed)
    errors = [None] * len(completed) + [error for _, _, _, error, _ in failed]
    nothing = [None] * len(run_ids)
    query = """
        select recorded, to_jsonb(tasks) as tasks, to_jsonb(ended_runs) as ended_runs, pause, read_until
        from pgflow.exchange_tasks(
          %s::uuid[], %s::text[], %s::int[], %s::int[], %s::jsonb[], %s::text[], %s::boolean[], %s::int[],
          %s::text[], %s::uuid[], %s, %s::timestamptz[])
    """
    workers = [worker] * len(flows)
    return row(
        connection, query, run_ids, step_slugs, indexes, attempts, outputs, errors, nothing, nothing,
        list(flows), workers, limit, None if since is None else list(since),
    )  # fmt: skip


def run(connection: Connection, run_id: RunId) -> Row:
    return row(connection, "select * from pgflow.runs where run_id = %s", run_id)


def states(connection: Connection, run_id: RunId) -> dict[str, Row]:
    """Return the states of a run's steps by slug, in the order of definition."""
    query = """
        select ss.* from pgflow.step_states ss join pgflow.steps s using (flow_slug, step_slug)
        where run_id = %s order by step_index
    """
    return {found["step_slug"]: found for found in rows(connection, query, run_id)}


def state(connection: Connection, run_id: RunId, step_slug: str) -> Row:
    return states(connection, run_id)[step_slug]


def statuses(connection: Connection, run_id: RunId) -> dict[str, str]:
    """Return the status of each step of a run by slug."""
    return {slug: found["status"] for slug, found in states(connection, run_id).items()}


def tasks(connection: Connection, run_id: RunId, step_slug: str | None = None) -> list[Row]:
    """Return the tasks of a run, or of one of its steps, ordered by step and index."""
    query = """
        select * from pgflow.step_tasks where run_id = %s and step_slug = coalesce(%s, step_slug)
        order by step_slug, task_index
    """
    return rows(connection, query, run_id, step_slug)


def task(connection: Connection, run_id: RunId, step_slug: str, index: int = 0) -> Row:
    return tasks(connection, run_id, step_slug)[index]


def live(connection: Connection, flow: str = FLOW) -> list[Row]:
    """Return the messages in a flow's queue by id; `seconds` is the time until each is visible, negative if it is."""
    query = "select *, extract(epoch from vt - clock_timestamp())::float as seconds from pgmq.{} order by msg_id"
    return connection.execute(sql.SQL(query).format(sql.Identifier(f"q_{flow.lower()}"))).fetchall()


def archived(connection: Connection, flow: str = FLOW) -> list[Row]:
    """Return the messages in the archive of a flow's queue by id."""
    query = sql.SQL("select * from pgmq.{} order by msg_id").format(sql.Identifier(f"a_{flow.lower()}"))
    return connection.execute(query).fetchall()


def announced(messages: Sequence[Row]) -> list[tuple[str, int]]:
    """Return step slug and task index of the tasks that messages announce."""
    return [(found["message"]["step_slug"], found["message"]["task_index"]) for found in messages]


def has_queue(connection: Connection, flow: str = FLOW) -> bool:
    return bool(value(connection, "select %s in (select queue_name from pgmq.list_queues())", flow))


def snapshot(connection: Connection) -> dict[str, list[Row]]:
    """Return all rows that a call could change, for tests of calls that change nothing."""
    found = {
        table: rows(connection, f"select to_jsonb(t) as row from pgflow.{table} t order by t::text")
        for table in ("flows", "steps", "deps", "runs", "step_states", "step_tasks")
    }
    for flow in rows(connection, "select queue_name from pgmq.list_queues() order by 1"):
        for kind in "qa":
            table = sql.Identifier(f"{kind}_{flow['queue_name'].lower()}")
            found[f"{kind}_{flow['queue_name']}"] = connection.execute(
                sql.SQL("select * from pgmq.{} order by msg_id").format(table)
            ).fetchall()
    return found


# Events


def record_events(connection: Connection) -> None:
    """Put a `realtime.send` in place that keeps what it is given."""
    connection.execute("""
        create schema realtime;
        create table realtime.messages (
          id bigint generated always as identity, payload jsonb, event text, topic text, private boolean
        );
        create function realtime.send(payload jsonb, event text, topic text, private boolean default true)
        returns void language sql as
        $$ insert into realtime.messages (payload, event, topic, private) values ($1, $2, $3, $4) $$;
    """)


def events(connection: Connection) -> list[Row]:
    """Return the recorded events in the order in which they were sent."""
    return rows(connection, "select payload, event, topic, private from realtime.messages order by id")


def event_names(connection: Connection) -> list[str]:
    """Return the names of the recorded events in the order in which they were sent."""
    return [found["event"] for found in events(connection)]


def forget_events(connection: Connection) -> None:
    """Forget the events recorded so far."""
    connection.execute("delete from realtime.messages")


def _call(connection: Connection, function: str, arguments: Row) -> list[Row]:
    named = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
    )
    query = sql.SQL("select * from pgflow.{}({})").format(sql.Identifier(function), named)
    return connection.execute(query, arguments).fetchall()


def _columns(reports: Sequence[Report]) -> list[list[Any]]:
    return [[report[column] for report in reports] for column in range(5)]


def _load_json(data: str | bytes) -> Any:
    loaded = json.loads(data)
    return JSON_NULL if loaded is None else loaded
