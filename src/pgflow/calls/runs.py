"""Calls that start runs and look at them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pgflow.calls.call import Call, Row, from_json, only
from pgflow.errors import RunNotFound
from pgflow.serialize import decode
from pgflow.types import Json, RunRow, StepProgress, StepState


def start_flow(flow_slug: str, input: bytes, run_id: UUID | None = None) -> Call[RunRow]:  # noqa: A002 - as in SQL
    """Start a run: `pgflow.start_flow`. Gives the run as it is at the end of the call."""
    return Call(
        "select to_jsonb(run)::text from pgflow.start_flow(%s, %s::text::jsonb, %s::uuid) as run",
        (flow_slug, input.decode(), run_id),
        lambda rows: _run(rows[0]),
    )


def start_flows(
    flow_slug: str, inputs: Sequence[bytes], run_ids: Sequence[UUID] | None = None, delay: int = 0
) -> Call[list[RunRow]]:
    """Start one run per input, all or none: `pgflow.start_flows`. Gives them in the order of the inputs.

    Their first tasks become visible after `delay` seconds; `run_ids` are random by default.
    """
    return Call(
        "select to_jsonb(run)::text from pgflow.start_flows(%s, %s::text[]::jsonb[], %s::uuid[], %s) as run",
        (flow_slug, [value.decode() for value in inputs], None if run_ids is None else list(run_ids), delay),
        lambda rows: [_run(row) for row in rows],
    )


def get_run(run_id: UUID) -> Call[RunRow]:
    """Read a run: `pgflow.get_run`. Decoding raises RunNotFound when there is none."""
    return Call(
        "select to_jsonb(run)::text from pgflow.get_run(%s) as run",
        (run_id,),
        lambda rows: _run(only(rows, run_id)),
    )


def get_run_with_states(run_id: UUID) -> Call[tuple[RunRow, tuple[StepState, ...]]]:
    """Read a run and its steps: `pgflow.get_run_with_states`. Decoding raises RunNotFound when there is none."""

    def decode_rows(rows: Sequence[Row]) -> tuple[RunRow, tuple[StepState, ...]]:
        text = rows[0][0]
        if text is None:
            raise RunNotFound(run_id)
        found = decode(text)
        return from_json(RunRow, found["run"]), tuple(from_json(StepState, step) for step in found["steps"])

    return Call("select pgflow.get_run_with_states(%s)::text", (run_id,), decode_rows)


def get_run_statuses(run_ids: Sequence[UUID]) -> Call[dict[UUID, str]]:
    """Read the statuses of many runs: `pgflow.get_run_statuses`. Gives them by run id, without those unknown."""
    return Call(
        "select run_id, status from pgflow.get_run_statuses(%s)",
        (list(run_ids),),
        lambda rows: {run_id: status for run_id, status in rows},  # noqa: C416 - rows are sequences of any length
    )


def get_run_input(run_id: UUID) -> Call[Json]:
    """Read the input of a run: `pgflow.get_flow_input`. Decoding raises RunNotFound when there is none."""

    def decode_rows(rows: Sequence[Row]) -> Json:
        text = rows[0][0]
        if text is None:
            raise RunNotFound(run_id)
        return decode(text)

    return Call("select pgflow.get_flow_input(%s)::text", (run_id,), decode_rows)


def get_step_progress(run_id: UUID) -> Call[dict[str, StepProgress]]:
    """Count the tasks of each step of a run that has tasks: `pgflow.get_step_progress`. Gives them by step slug."""
    return Call(
        "select step_slug, queued_count, started_count, completed_count, failed_count, attempts_count, error_message"
        " from pgflow.get_step_progress(%s)",
        (run_id,),
        lambda rows: {row[0]: StepProgress(*row) for row in rows},
    )


def _run(row: Row) -> RunRow:
    return from_json(RunRow, decode(row[0]))
