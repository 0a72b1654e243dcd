"""Everything that a call can change, read from the engine in one round trip, and the same told by the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from psycopg import Connection, sql

from model.model import Model
from model.records import Event
from model.values import Json, as_text

START: Final = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
"""What the clock of both shows first; the model counts seconds from there."""

Key: TypeAlias = tuple[str, ...]
Rows: TypeAlias = dict[Key, dict[str, Any]]

RUN_TIMES = ("started_at", "completed_at", "failed_at")
STATE_TIMES = ("created_at", "started_at", "completed_at", "failed_at", "skipped_at")
TASK_TIMES = (
    "queued_at",
    "started_at",
    "completed_at",
    "failed_at",
    "last_requeued_at",
    "permanently_stalled_at",
)
RUN_COLUMNS = ("run_id", "flow_slug", "status", "remaining_steps")
STATE_COLUMNS = (
    "run_id",
    "step_slug",
    "status",
    "remaining_tasks",
    "initial_tasks",
    "remaining_deps",
    "error_message",
    "skip_reason",
)
TASK_COLUMNS = (
    "run_id",
    "step_slug",
    "task_index",
    "message_id",
    "status",
    "attempts_count",
    "error_message",
    "last_worker_id",
    "requeued_count",
    "attempts_before_retry",
)


@dataclass(frozen=True)
class Snapshot:
    """Rows by key, messages by queue and id with the time of their visibility, new events, and the wall clock."""

    rows: Rows
    visible_at: dict[Key, float]
    events: list[Event]
    wall_clock: float


class Reader:
    """Reads snapshots of some flows; each has the events sent since the one before."""

    def __init__(self, connection: Connection[Any], flow_slugs: Iterable[str]) -> None:
        self._connection = connection
        self._query = _query(list(flow_slugs)).as_string(connection)
        self._last_event = 0

    def read(self) -> Snapshot:
        found = self._connection.execute(self._query, {"start": START, "last_event": self._last_event}).fetchone()
        assert found is not None
        read = json.loads(found["snapshot"])
        self._last_event = max([self._last_event, *(event["id"] for event in read["event"] or [])])
        rows: Rows = {("run", row["run_id"]): row_of(row) for row in read["run"] or []}
        rows |= {("step", row["run_id"], row["step_slug"]): row_of(row) for row in read["step"] or []}
        rows |= {task_key(row): row_of(row) for row in read["task"] or []}
        rows |= {("cancellation", row["run_id"]): row for row in read["cancellation"] or []}
        for kind in ("live", "archived"):
            rows |= {(kind, row["flow_slug"], str(row["msg_id"])): row["message"] for row in read[kind] or []}
        return Snapshot(
            rows,
            {("live", row["flow_slug"], str(row["msg_id"])): row["visible_at"] for row in read["live"] or []},
            [_event(event) for event in read["event"] or []],
            read["wall_clock"],
        )


def row_of(found: dict[str, Any]) -> dict[str, Any]:
    """Write the JSON columns of a row the one way that can be compared."""
    values = {name: found[name] for name in ("input", "output") if found.get(name) is not None}
    return found | {name: as_text(json.loads(text)) for name, text in values.items()}


def task_key(row: Mapping[str, Any]) -> Key:
    return ("task", row["run_id"], row["step_slug"], str(row["task_index"]))


def of_model(model: Model) -> Rows:
    """Tell the rows that the engine should have."""
    rows: Rows = {}
    for run in model.runs.values():
        run_id = str(run.run_id)
        rows["run", run_id] = _plain(
            run, flow_slug=run.flow.slug, leave_out=("flow", "states", "tasks", "cancellation")
        )
        if run.cancellation is not None:
            rows["cancellation", run_id] = _plain(run.cancellation, run_id=run_id)
        for slug, state in run.states.items():
            rows["step", run_id, slug] = _plain(state, run_id=run_id, step_slug=slug)
        for (slug, index), task in run.tasks.items():
            rows["task", run_id, slug, str(index)] = _plain(task, run_id=run_id, step_slug=slug, task_index=index)
    for slug, queue in model.queues.items():
        rows |= {("live", slug, str(message_id)): message for message_id, message in queue.live.items()}
        rows |= {("archived", slug, str(message_id)): message for message_id, message in queue.archived.items()}
    return rows


def differences(found: Mapping[Key, Json], expected: Mapping[Key, Json]) -> list[str]:
    """Describe where the engine has other rows than the model."""
    described = []
    for key in sorted(found.keys() | expected.keys()):
        engine, model = found.get(key), expected.get(key)
        if engine == model:
            continue
        if isinstance(engine, dict) and isinstance(model, dict):
            columns = sorted(column for column in engine | model if engine.get(column) != model.get(column))
            engine, model = ({column: row.get(column) for column in columns} for row in (engine, model))
        described.append(f"{' '.join(key)}: the engine has {engine}, the model {model}")
    return described


def per_run(events: Iterable[Event]) -> dict[Key, list[tuple[str, dict[str, str | None]]]]:
    """Sort out events by run. Of steps that start together any may come first; all others keep their order."""
    of_runs: dict[Key, list[list[Event]]] = {}
    for event in events:
        groups = of_runs.setdefault(("events", event.run_id), [])
        if groups and _is_start(event) and _is_start(groups[-1][0]):
            groups[-1].append(event)
        else:
            groups.append([event])
    return {
        key: [_comparable(event) for group in groups for event in sorted(group, key=lambda event: event.name)]
        for key, groups in of_runs.items()
    }


def _is_start(event: Event) -> bool:
    return bool(event.payload["event_type"] == "step:started")


def _comparable(event: Event) -> tuple[str, dict[str, str | None]]:
    return event.name, {name: as_text(part) for name, part in event.payload.items()}


def with_keys_of(events: Sequence[Event], expected: Sequence[Event]) -> list[Event]:
    """Leave out of payloads what the contract doesn't ask for, which may be there."""
    wanted = {(event.run_id, event.name): event.payload.keys() for event in expected}
    return [
        Event(event.name, {key: event.payload[key] for key in event.payload.keys() & keys})
        if (keys := wanted.get((event.run_id, event.name)))
        else event
        for event in events
    ]


def _plain(row: object, leave_out: Sequence[str] = (), **more: Json) -> dict[str, Json]:
    columns = {name: column for name, column in vars(row).items() if name not in leave_out}
    texts = {name: str(columns[name]) for name in ("run_id", "last_worker_id") if columns.get(name) is not None}
    values: dict[str, Json] = {name: as_text(columns[name]) for name in ("input", "output") if name in columns}
    return {**columns, **texts, **values, **more}


def _event(sent: dict[str, Json]) -> Event:
    assert sent["topic"] == f"pgflow:run:{sent['payload']['run_id']}"
    assert sent["private"] is False
    payload = {
        key: _seconds(part) if key.endswith("_at") and part is not None else part
        for key, part in sent["payload"].items()
    }
    return Event(sent["event"], payload)


def _seconds(timestamp: str) -> float:
    seconds = (datetime.fromisoformat(timestamp) - START).total_seconds()
    return int(seconds) if seconds == int(seconds) else seconds


def _query(flow_slugs: Sequence[str]) -> sql.Composed:
    parts = {
        "run": _rows("runs", RUN_COLUMNS, RUN_TIMES, ("input", "output")),
        "step": _rows("step_states", STATE_COLUMNS, STATE_TIMES, ("output",)),
        "task": _rows("step_tasks", TASK_COLUMNS, TASK_TIMES, ("output",)),
        "cancellation": _rows("run_cancellations", ("run_id", "reason"), ("cancelled_at",), ()),
        "live": _messages(flow_slugs, "q"),
        "archived": _messages(flow_slugs, "a"),
        "event": sql.SQL(
            "select id, payload, event, topic, private from realtime.messages where id > %(last_event)s order by id"
        ),
    }
    members = sql.SQL(", ").join(
        sql.SQL("{}, (select json_agg(found) from ({}) as found)").format(sql.Literal(name), part)
        for name, part in parts.items()
    )
    clock = sql.SQL("'wall_clock', extract(epoch from clock_timestamp())")
    return sql.SQL("select json_build_object({}, {})::text as snapshot").format(members, clock)


def task_columns() -> sql.Composed:
    """Return what to select from a function that returns tasks, with the parameter `start`."""
    return _columns(TASK_COLUMNS, TASK_TIMES, ("output",))


def _rows(table: str, columns: Sequence[str], times: Sequence[str], values: Sequence[str]) -> sql.Composed:
    return sql.SQL("select {} from pgflow.{}").format(_columns(columns, times, values), sql.Identifier(table))


def _columns(columns: Sequence[str], times: Sequence[str], values: Sequence[str]) -> sql.Composed:
    selected = [
        *(sql.Identifier(column) for column in columns),
        *(sql.SQL("extract(epoch from {0} - %(start)s)::int as {0}").format(sql.Identifier(time)) for time in times),
        *(sql.SQL("{0}::text as {0}").format(sql.Identifier(column)) for column in values),
    ]
    return sql.SQL(", ").join(selected)


def _messages(flow_slugs: Sequence[str], kind: str) -> sql.Composed:
    each = [
        sql.SQL("select {} as flow_slug, msg_id, message, extract(epoch from vt) as visible_at from pgmq.{}").format(
            sql.Literal(slug), sql.Identifier(f"{kind}_{slug}")
        )
        for slug in flow_slugs
    ]
    return sql.SQL(" union all ").join(each)
