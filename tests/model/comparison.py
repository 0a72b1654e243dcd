"""Makes every call twice, on the engine and on the model, and compares all that there is afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection, sql

from model import snapshot
from model.controlling import ControllingModel
from model.definition import Flow
from model.records import Completion, Demand, Exchanged, Failure, Refused, Release, StartedTask
from model.values import Value, as_json, as_text

WORKERS = (UUID("00000000-0000-0000-0000-00000000a001"), UUID("00000000-0000-0000-0000-00000000a002"))
UNKNOWN = UUID("00000000-0000-0000-0000-00000000dead")

# Between the clock of the server as text with microseconds and as a float.
ROUNDING = 0.001

T = TypeVar("T")


class Comparison:
    """Some flows on the engine and in the model; a call fails where they differ. `calls` counts them by name."""

    def __init__(self, connection: Connection[Any], *flows: Flow) -> None:
        self.connection = connection
        self.model = ControllingModel(flows, WORKERS)
        self.calls: list[str] = []
        self._set_clock()
        for flow in flows:
            self._value("select pgflow.ensure_flow_compiled(%s, %s::jsonb)", flow.slug, flow.shape())
        for worker in WORKERS:
            self._value("select pgflow.register_worker(%s, 'model', 'tests')", worker)
        self._reader = snapshot.Reader(connection, [flow.slug for flow in flows])
        self._before = self._reader.read()

    # Calls

    def start_flow(self, flow_slug: str, value: Value = None) -> UUID:
        """Start one run and return its id, also where that is refused."""
        run_id = UUID(int=len(self.model.runs) + 1)
        self._call(
            "start_flow",
            lambda: self._value(
                "select run_id from pgflow.start_flow(%s, %s::jsonb, %s)", flow_slug, as_text(value), run_id
            ),
            lambda: self.model.start_flows(flow_slug, [(run_id, value)])[0],
        )
        return run_id

    def start_flows(self, flow_slug: str, values: Sequence[Value]) -> list[UUID]:
        """Start several runs at once and return their ids."""
        run_ids = [UUID(int=len(self.model.runs) + number) for number in range(1, len(values) + 1)]
        query = "select array_agg(run_id) from pgflow.start_flows(%s, %s::text[]::jsonb[], %s::uuid[])"
        self._call(
            "start_flows",
            lambda: self._value(query, flow_slug, [as_text(value) for value in values], run_ids),
            lambda: self.model.start_flows(flow_slug, list(zip(run_ids, values, strict=True))),
        )
        return run_ids

    def start_tasks(self, flow_slug: str, message_ids: Sequence[int], worker_id: UUID = WORKERS[0]) -> None:
        """Start tasks by the ids of their messages."""
        query = """
            select run_id::text, step_slug, task_index, msg_id, flow_slug, input::text, flow_input::text
            from pgflow.start_tasks(%s, %s::bigint[], %s)
        """
        self._call(
            "start_tasks",
            lambda: sorted(map(_started, self._rows(query, flow_slug, list(message_ids), worker_id)), key=repr),
            lambda: sorted(map(_started_by_model, self.model.start_tasks(flow_slug, message_ids, worker_id)), key=repr),
        )

    def start_all(self, flow_slug: str) -> None:
        """Start all tasks that have a message, if there are any."""
        if message_ids := list(self.model.queues[flow_slug].live):
            self.start_tasks(flow_slug, message_ids)

    def complete_task(self, run_id: UUID, slug: str, index: int = 0, output: Value = None) -> None:
        """Report one completed task."""
        self._report("complete_task", "%s::jsonb", as_text(output), Completion(run_id, slug, index, output))

    def fail_task(self, run_id: UUID, slug: str, index: int = 0, error: str | None = "boom") -> None:
        """Report one failed task."""
        self._report("fail_task", "%s", error, Failure(run_id, slug, index, error))

    def complete_tasks(self, reports: Sequence[Completion]) -> None:
        """Report a batch of completed tasks."""
        query = "select pgflow.complete_tasks(%s::uuid[], %s::text[], %s::int[], %s::text[]::jsonb[], %s::int[])"
        outputs = [as_text(report.output) for report in reports]
        self._call(
            "complete_tasks",
            lambda: sorted(self._value(query, *_addresses(reports), outputs, [report.attempt for report in reports])),
            lambda: self.model.complete_tasks(reports),
        )

    def fail_tasks(self, reports: Sequence[Failure]) -> None:
        """Report a batch of failed tasks."""
        query = """
            select pgflow.fail_tasks(
              %s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[], %s::boolean[], %s::int[])
        """
        names = ("error_message", "attempt", "final", "retry_delay")
        columns = [[getattr(report, name) for report in reports] for name in names]
        self._call(
            "fail_tasks",
            lambda: sorted(self._value(query, *_addresses(reports), *columns)),
            lambda: self.model.fail_tasks(reports),
        )

    def release_tasks(self, reports: Sequence[Release]) -> None:
        """Give tasks back."""
        query = "select pgflow.release_tasks(%s::uuid[], %s::text[], %s::int[], %s::int[], %s::int[])"
        columns = [[getattr(report, name) for report in reports] for name in ("attempt", "delay")]
        self._call(
            "release_tasks",
            lambda: sorted(self._value(query, *_addresses(reports), *columns)),
            lambda: self.model.release_tasks(reports),
        )

    def exchange_tasks(self, completions: Sequence[Completion], failures: Sequence[Failure], demand: Demand) -> None:
        """Report tasks of both kinds and get new ones."""
        self._set_visibility(demand.visible)
        self._call(
            "exchange_tasks",
            lambda: self._exchange(completions, failures, demand),
            lambda: _exchanged_by_model(self.model.exchange_tasks(completions, failures, demand)),
        )

    def _exchange(
        self, completions: Sequence[Completion], failures: Sequence[Failure], demand: Demand
    ) -> tuple[object, ...]:
        query = """
            select recorded, to_jsonb(tasks)::text as tasks, to_jsonb(ended_runs) as ended_runs, skipped_steps
            from pgflow.exchange_tasks(
              %s::uuid[], %s::text[], %s::int[], %s::int[], %s::text[]::jsonb[], %s::text[], %s::boolean[], %s::int[],
              %s::text[], %s::uuid[], %s)
        """
        reports = [*completions, *failures]
        outputs = [as_text(report.output) for report in completions]
        columns = [
            [getattr(report, name, None) for report in reports] for name in ("error_message", "final", "retry_delay")
        ]
        [found] = self._rows(
            query, *_addresses(completions, failures), [report.attempt for report in reports],
            outputs + [None] * len(failures), *columns,
            list(demand.flow_slugs), [demand.worker_id] * len(demand.flow_slugs), demand.limit,
        )  # fmt: skip
        return (
            sorted(found["recorded"]),
            [_handed(task) for task in json.loads(found["tasks"] or "[]")],
            sorted((run["run_id"], run["status"]) for run in found["ended_runs"] or []),
            sorted((step["run_id"], step["step_slug"], step["skip_reason"]) for step in found["skipped_steps"] or []),
        )

    def _set_visibility(self, visible: bool) -> None:
        """Make all messages visible, in their order, or none of them."""
        seconds = -3600 if visible else 3600
        for slug in self.model.queues:
            query = sql.SQL("update pgmq.{} set vt = clock_timestamp() + make_interval(secs => %s + msg_id * 0.001)")
            self.connection.execute(query.format(sql.Identifier(f"q_{slug}")), (seconds,))
        self._before = self._reader.read()

    def requeue_stalled_tasks(self, after_seconds: int = 0) -> None:
        """Let time go by, then look for stalled tasks."""
        self.model.now += after_seconds
        self._set_clock()
        self._call(
            "requeue_stalled_tasks",
            lambda: self._value("select pgflow.requeue_stalled_tasks()"),
            self.model.requeue_stalled_tasks,
        )

    def cancel_runs(self, run_ids: Sequence[UUID], reason: str | None) -> None:
        """Cancel some runs."""
        query = "select jsonb_object_agg(run_id, outcome) from pgflow.cancel_runs(%s, %s)"
        self._call(
            "cancel_runs",
            lambda: self._value(query, list(run_ids), reason),
            lambda: self.model.cancel_runs(run_ids, reason),
        )

    def retry_runs(self, run_ids: Sequence[UUID]) -> None:
        """Let some runs go on."""
        query = "select jsonb_object_agg(run_id, outcome) from pgflow.retry_runs(%s)"
        self._call("retry_runs", lambda: self._value(query, list(run_ids)), lambda: self.model.retry_runs(run_ids))

    def start_ready_steps(self, run_id: UUID) -> None:
        """Call this building block."""
        self._block("start_ready_steps", run_id, self.model.start_ready_steps)

    def cascade_complete_taskless_steps(self, run_id: UUID) -> None:
        """Call this building block."""
        self._block("cascade_complete_taskless_steps", run_id, self.model.cascade_complete_taskless_steps)

    def cascade_resolve_conditions(self, run_id: UUID) -> None:
        """Call this building block."""
        self._block("cascade_resolve_conditions", run_id, self.model.cascade_resolve_conditions)

    def maybe_complete_run(self, run_id: UUID) -> None:
        """Call this building block."""
        self._block("maybe_complete_run", run_id, self.model.maybe_complete_run)

    def force_skip(self, run_id: UUID, slug: str, reason: str = "by_hand") -> None:
        """Skip a step and everything behind it."""
        self._call(
            "_cascade_force_skip_steps",
            lambda: self._value("select pgflow._cascade_force_skip_steps(%s, %s, %s)", run_id, slug, reason),
            lambda: self.model.cascade_force_skip_steps(run_id, slug, reason),
        )

    # Making a call twice

    def _report(self, function: str, cast: str, outcome: str | None, report: Completion | Failure) -> None:
        query = sql.SQL("select {} from pgflow.{}(%(run_id)s, %(step_slug)s, %(task_index)s, {})").format(
            snapshot.task_columns(), sql.Identifier(function), sql.SQL(cast.replace("%s", "%(outcome)s"))
        )
        parameters = {**vars(report), "outcome": outcome, "start": snapshot.START}
        self._call(
            function,
            lambda: [snapshot.row_of(_with_text_ids(row)) for row in self.connection.execute(query, parameters)],
            lambda: self._reported_to_model(report),
        )

    def _reported_to_model(self, report: Completion | Failure) -> list[dict[str, Any]]:
        if isinstance(report, Completion):
            self.model.complete_tasks([report])
        else:
            self.model.fail_tasks([report])
        key = ("task", str(report.run_id), report.step_slug, str(report.task_index))
        rows = snapshot.of_model(self.model)
        return [rows[key]] if key in rows else []

    def _block(self, function: str, run_id: UUID, by_model: Callable[[UUID], object]) -> None:
        # A function that returns void gives an empty text.
        query = sql.SQL("select pgflow.{}(%s) as value").format(sql.Identifier(function))
        self._call(
            function,
            lambda: next(iter(self.connection.execute(query, (run_id,))))["value"],
            lambda: "" if (answer := by_model(run_id)) is None else answer,
        )

    def _call(self, name: str, on_engine: Callable[[], T], on_model: Callable[[], T]) -> None:
        self.calls.append(name)
        try:
            expected = on_model()
        except Refused as refusal:
            self._expect(refusal, on_engine)
        else:
            found = on_engine()
            assert found == expected, f"{name}: the engine returns {found}, the model {expected}"
        self._compare(name)

    def _expect(self, refusal: Refused, on_engine: Callable[[], T]) -> None:
        with pytest.raises(psycopg.Error) as raised, self.connection.transaction():
            on_engine()
        assert raised.value.sqlstate == refusal.sqlstate
        assert refusal.text in str(raised.value)

    def _compare(self, name: str) -> None:
        after = self._reader.read()
        expected_events = [*self.model.events]
        self.model.events.clear()
        events = snapshot.with_keys_of(after.events, expected_events)
        different = snapshot.differences(after.rows, snapshot.of_model(self.model))
        different += snapshot.differences(snapshot.per_run(events), snapshot.per_run(expected_events))
        different += self._wrongly_visible(after)
        self._before = after
        assert not different, "\n".join([f"after {name}:", *different])

    def _wrongly_visible(self, after: snapshot.Snapshot) -> list[str]:
        """Describe messages whose visibility isn't what the model wants, or has changed without reason."""
        wrong = []
        for slug, queue in self.model.queues.items():
            for message_id in queue.live:
                key = ("live", slug, str(message_id))
                visible_at = after.visible_at.get(key, 0.0)
                if message_id not in queue.delays:
                    is_right = visible_at == self._before.visible_at.get(key)
                else:
                    set_at = visible_at - queue.delays[message_id]
                    is_right = self._before.wall_clock - ROUNDING <= set_at <= after.wall_clock + ROUNDING
                if not is_right:
                    seconds = visible_at - after.wall_clock
                    wrong.append(
                        f"{' '.join(key)}: visible in {seconds} s, the model says {queue.delays.get(message_id)}"
                    )
            queue.delays.clear()
        return wrong

    # Words of the database

    def _set_clock(self) -> None:
        time = f"{snapshot.START.isoformat()}"
        self._value(
            "select set_config('pgflow.now', (%s::timestamptz + %s * interval '1 s')::text, true)", time, self.model.now
        )

    def _rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        return self.connection.execute(query, parameters or None).fetchall()

    def _value(self, query: str, *parameters: object) -> Any:
        [row] = self._rows(query, *parameters)
        [only] = row.values()
        return only


def _addresses(*batches: Sequence[Completion] | Sequence[Failure] | Sequence[Release]) -> list[list[object]]:
    names = ("run_id", "step_slug", "task_index")
    return [[getattr(report, name) for reports in batches for report in reports] for name in names]


def _with_text_ids(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(column) if isinstance(column, UUID) else column for name, column in row.items()}


def _started(row: dict[str, Any]) -> tuple[object, ...]:
    texts = {name: row[name] for name in ("input", "flow_input")}
    inputs = [snapshot.row_of({"input": text})["input"] for text in texts.values()]
    return (row["run_id"], row["step_slug"], row["task_index"], row["msg_id"], *inputs)


def _started_by_model(task: StartedTask) -> tuple[object, ...]:
    inputs = (as_text(task.input), as_text(task.flow_input))
    return (str(task.run_id), task.step_slug, task.task_index, task.message_id, *inputs)


def _handed(task: dict[str, Any]) -> tuple[object, ...]:
    inputs = [as_text(as_json(task[name])) for name in ("input", "flow_input")]  # SQL NULL reads as JSON null here
    return (task["run_id"], task["step_slug"], task["task_index"], task["message_id"], *inputs)


def _exchanged_by_model(exchanged: Exchanged) -> tuple[object, ...]:
    tasks = [_handed(vars(task) | {"run_id": str(task.run_id)}) for task in exchanged.tasks]
    return (exchanged.recorded, tasks, exchanged.ended_runs, exchanged.skipped_steps)
