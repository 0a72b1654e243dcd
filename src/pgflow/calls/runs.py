"""Calls that start runs and look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pgflow.calls.call import Call, Row, first_value, from_json, only
from pgflow.calls.columns import Uuids
from pgflow.errors import RunNotFound
from pgflow.serialize import decode
from pgflow.types import Json, RunRow, StepProgress, StepState, StepTask


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Which runs are meant: of these flows, in these statuses, started since and before until; None means any.

    `input_contains` is JSON text that the input must contain, as `@>` has it. A run has all of `tags`.
    """

    flow_slugs: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    input_contains: bytes | None = None
    tags: Sequence[str] = ()


def start_flow(flow_slug: str, input: bytes, run_id: UUID | None = None) -> Call[RunRow]:  # noqa: A002 - as in SQL
    """Start a run: `pgflow.start_flow`. Gives the run as it is at the end of the call."""
    return Call(
        "select to_jsonb(run)::text from pgflow.start_flow(%s, %s::text::jsonb, %s::uuid) as run",
        (flow_slug, input.decode(), run_id),
        lambda rows: _run(rows[0]),
    )


def start_flows(
    flow_slug: str,
    inputs: Sequence[bytes],
    run_ids: Sequence[UUID] | None = None,
    delay: int = 0,
    at: datetime | None = None,
) -> Call[list[RunRow]]:
    """Start one run per input, all or none: `pgflow.start_flows`. Gives them in the order of the inputs.

    Their first tasks become visible after `delay` seconds, or `at` a time by the database's clock
    (`pgflow.seconds_until`); `run_ids` are random by default.
    """
    seconds = "%s" if at is None else "pgflow.seconds_until(%s)"
    return Call(
        f"select to_jsonb(run)::text from pgflow.start_flows(%s, %s::text[]::jsonb[], %s::uuid[], {seconds}) as run",
        (
            flow_slug,
            [value.decode() for value in inputs],
            None if run_ids is None else list(run_ids),
            delay if at is None else at,
        ),
        _runs,
    )


def start_runs(
    flow_slug: str,
    inputs: Sequence[bytes],
    *,
    keys: Sequence[str | None] | None = None,
    tags: Sequence[str] = (),
    delay: int = 0,
    at: datetime | None = None,
    run_ids: Sequence[UUID] | None = None,
) -> Call[list[tuple[RunRow, bool]]]:
    """Start one run per input that has no key, or one that is free: `pgflow.start_runs`.

    Gives a run for each input, in their order, with whether it existed. `tags` are written on all that are started;
    their first tasks become visible after `delay` seconds, or `at` a time by the database's clock.
    """
    start_at = "clock_timestamp() + make_interval(secs => %s)" if at is None else "%s::timestamptz"
    return Call(
        "select case when started.existed then pgflow.describe_run(started.run) else to_jsonb(started.run) end::text,"
        " started.existed from pgflow.start_runs("
        f"%s, %s::text[]::jsonb[], %s::text[], %s::text[], {start_at}, %s::uuid[]) as started",
        (
            flow_slug,
            [value.decode() for value in inputs],
            None if keys is None else list(keys),
            list(tags),
            delay if at is None else at,
            None if run_ids is None else list(run_ids),
        ),
        lambda rows: [(_run(row), row[1]) for row in rows],
    )


def seconds_until(at: datetime) -> Call[int]:
    """Ask the database how far away a point in time is: `pgflow.seconds_until`. Gives whole seconds, 0 for the past."""
    return Call("select pgflow.seconds_until(%s)", (at,), first_value)


def start_flow_with_states(
    flow_slug: str,
    input: bytes,  # noqa: A002 - as in SQL
    run_id: UUID | None = None,
) -> Call[tuple[RunRow, tuple[StepState, ...]]]:
    """Start a run: `pgflow.start_flow_with_states`. Gives it with its steps."""
    return Call(
        "select pgflow.start_flow_with_states(%s, %s::jsonb, %s)::text",
        (flow_slug, input.decode(), run_id),
        lambda rows: _with_states(rows[0][0]),
    )


def delay_run(flow_slug: str, run_id: UUID, seconds: int) -> Call[int]:
    """Make the queued tasks of a run visible in so many seconds: `pgflow.delay_run`. Gives their number."""
    return Call("select pgflow.delay_run(%s, %s, %s)", (flow_slug, run_id, seconds), first_value)


def get_run(run_id: UUID) -> Call[RunRow]:
    """Read a run: `pgflow.get_run`. Decoding raises RunNotFound when there is none."""
    return Call(
        "select pgflow.describe_run(run)::text from pgflow.get_run(%s) as run",
        (run_id,),
        lambda rows: _run(only(rows, run_id)),
    )


def get_run_by_key(flow_slug: str, key: str) -> Call[RunRow | None]:
    """Read the run of a flow that was started with a key: `pgflow.get_run_by_key`. Gives None where there is none."""
    return Call(
        "select pgflow.describe_run(run)::text from pgflow.get_run_by_key(%s, %s) as run",
        (flow_slug, key),
        lambda rows: _run(rows[0]) if rows else None,
    )


def get_run_tags(run_id: UUID) -> Call[tuple[str, ...]]:
    """Read the tags of a run, in their order: `pgflow.get_run_tags`."""
    return Call("select pgflow.get_run_tags(%s)", (run_id,), lambda rows: tuple(rows[0][0]))


def get_run_with_states(run_id: UUID) -> Call[tuple[RunRow, tuple[StepState, ...]]]:
    """Read a run and its steps: `pgflow.get_run_with_states`. Decoding raises RunNotFound when there is none."""

    def decode_rows(rows: Sequence[Row]) -> tuple[RunRow, tuple[StepState, ...]]:
        text = rows[0][0]
        if text is None:
            raise RunNotFound(run_id)
        return _with_states(text)

    return Call("select pgflow.get_run_with_states(%s)::text", (run_id,), decode_rows)


def get_runs_if_ended(run_ids: Sequence[UUID]) -> Call[dict[UUID, tuple[RunRow, tuple[StepState, ...]] | None]]:
    """Read those runs that have ended, with their steps: `pgflow.get_runs_if_ended`.

    Gives them by run id; None for those that go on, and nothing for those unknown.
    """
    return Call(
        "select run_id, run_with_states::text from pgflow.get_runs_if_ended(%s)",
        (Uuids(run_ids),),
        lambda rows: {run_id: None if text is None else _with_states(text) for run_id, text in rows},
    )


def get_run_statuses(run_ids: Sequence[UUID]) -> Call[dict[UUID, str]]:
    """Read the statuses of many runs: `pgflow.get_run_statuses`. Gives them by run id, without those unknown."""
    return Call(
        "select run_id, status from pgflow.get_run_statuses(%s)",
        (Uuids(run_ids),),
        lambda rows: {run_id: status for run_id, status in rows},  # noqa: C416 - rows are sequences of any length
    )


def get_flow_input(run_id: UUID) -> Call[Json]:
    """Read the input of a run: `pgflow.get_flow_input`. Decoding raises RunNotFound when there is none."""

    def decode_rows(rows: Sequence[Row]) -> Json:
        if rows[0][0] is None:
            raise RunNotFound(run_id)
        return decode(rows[0][0])

    return Call("select pgflow.get_flow_input(%s)::text", (run_id,), decode_rows)


def get_step_output(run_id: UUID, step_slug: str) -> Call[tuple[Json] | None]:
    """Read the output of a completed step: `pgflow.get_step_output`. Gives it in a tuple; None if there is none."""
    return Call(
        "select pgflow.get_step_output(%s, %s)::text",
        (run_id, step_slug),
        lambda rows: None if rows[0][0] is None else (decode(rows[0][0]),),
    )


def list_runs(
    filters: RunFilters, limit: int | None = 50, after: tuple[datetime, UUID] | None = None
) -> Call[list[RunRow]]:
    """Read runs, newest first: `pgflow.list_runs`. `after` is the start and the id of the run before the first."""
    return Call(
        "select pgflow.describe_run(run)::text"
        " from pgflow.list_runs(%s::text[], %s::text[], %s::timestamptz, %s::timestamptz, %s::jsonb, %s,"
        " %s::timestamptz, %s::uuid, %s::text[]) as run",
        (*_filter_arguments(filters), limit, *(after or (None, None)), list(filters.tags)),
        _runs,
    )


def count_runs(filters: RunFilters) -> Call[int]:
    """Count runs: `pgflow.count_runs`."""
    return Call(
        "select pgflow.count_runs(%s::text[], %s::text[], %s::timestamptz, %s::timestamptz, %s::jsonb, %s::text[])",
        (*_filter_arguments(filters), list(filters.tags)),
        first_value,
    )


def list_tasks(run_id: UUID, step_slug: str | None = None) -> Call[list[StepTask]]:
    """Read the tasks of a run, or of one step, in order: `pgflow.list_tasks`."""
    return Call(
        "select to_jsonb(task)::text from pgflow.list_tasks(%s, %s) as task",
        (run_id, step_slug),
        lambda rows: [from_json(StepTask, decode(row[0])) for row in rows],
    )


def get_step_progress(run_id: UUID) -> Call[dict[str, StepProgress]]:
    """Count the tasks of each step of a run that has tasks: `pgflow.get_step_progress`. Gives them by step slug."""
    return Call(
        "select step_slug, queued_count, started_count, completed_count, failed_count, attempts_count, error_message"
        " from pgflow.get_step_progress(%s)",
        (run_id,),
        lambda rows: {row[0]: StepProgress(*row) for row in rows},
    )


def _filter_arguments(filters: RunFilters) -> tuple[Any, ...]:
    contained = filters.input_contains
    return (
        None if filters.flow_slugs is None else list(filters.flow_slugs),
        None if filters.statuses is None else list(filters.statuses),
        filters.since,
        filters.until,
        None if contained is None else contained.decode(),
    )


def _with_states(text: str) -> tuple[RunRow, tuple[StepState, ...]]:
    found = decode(text)
    return from_json(RunRow, found["run"]), tuple(from_json(StepState, step) for step in found["steps"])


def _runs(rows: Sequence[Row]) -> list[RunRow]:
    return [_run(row) for row in rows]


def _run(row: Row) -> RunRow:
    return from_json(RunRow, decode(row[0]))
