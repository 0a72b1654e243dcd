"""Calls that become several on the reference's schema: generators that give calls and are sent their answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pgflow.calls import Call, Exchanged, get_run_statuses, release_tasks, seconds_until
from pgflow.calls.call import Row, first_value, from_json, json_value
from pgflow.errors import InvalidInput, SchemaError
from pgflow.reference.inline import Argument
from pgflow.reference.registering import compare_flow, ensure_flow_compiled, set_flow_type, upsert_flow
from pgflow.reference.steps import Arguments, Known, Steps
from pgflow.serialize import decode, describe_error
from pgflow.types import EndedRun, Heartbeat, RunStatus, StartedTask, TaskReport

_BATCH: Final = 10
"""Messages read at once: what starts tasks on these cores takes apart the array behind a map for each of them."""

_BUFFER: Final = 30.0
IN_ONE_ROUND_TRIP: Final = "_exchange"
"""The function that an adopted schema has for all steps of an exchange."""


def exchange_tasks(known: Known, arguments: Arguments) -> Steps[Exchanged]:
    """Report with the core's singular functions, then read and start tasks flow by flow."""
    *report, flow_slugs, worker_ids, limit, _ = (argument.value for argument in arguments[:12])
    exchanged = Exchanged(read_until=[None] * len(flow_slugs))
    if IN_ONE_ROUND_TRIP in known:
        yield from _exchange(report, flow_slugs, worker_ids, limit, exchanged)
        return exchanged
    if report[0]:
        exchanged.recorded, ended_runs = yield from _report(report)
        exchanged.ended_runs.extend(ended_runs)
    for flow_slug, worker_id in zip(flow_slugs, worker_ids, strict=True):
        room = min(limit - len(exchanged.tasks), _BATCH)
        if room > 0:
            yield from _fetch(flow_slug, worker_id, room, exchanged)
    return exchanged


def fetch_tasks(_known: Known, arguments: Arguments) -> Steps[list[StartedTask]]:
    """Read and start tasks of one flow."""
    flow_slug, worker_id, limit = (argument.value for argument in arguments)
    exchanged = Exchanged()
    yield from _fetch(flow_slug, worker_id, min(limit, _BATCH), exchanged)
    return exchanged.tasks


def complete_tasks(_known: Known, arguments: Arguments) -> Steps[list[int]]:
    """Report completions."""
    run_ids, step_slugs, indexes, outputs, attempts = (argument.value for argument in arguments)
    nothing: list[None] = [None] * len(run_ids)
    recorded, _ = yield from _report([run_ids, step_slugs, indexes, attempts, outputs, nothing, nothing, nothing])
    return recorded


def fail_tasks(_known: Known, arguments: Arguments) -> Steps[list[int]]:
    """Report failures."""
    run_ids, step_slugs, indexes, messages, attempts, final, delays = (argument.value for argument in arguments)
    outputs: list[None] = [None] * len(run_ids)
    recorded, _ = yield from _report([run_ids, step_slugs, indexes, attempts, outputs, messages, final, delays])
    return recorded


def release_lost_tasks(_known: Known, arguments: Arguments) -> Steps[int]:
    """Give back what workers have and don't know of."""
    values = [argument.value for argument in arguments]
    lost = yield Call(
        "select run_id, step_slug, task_index, attempt from pgflow._lost_tasks(%s, %s, %s, %s, %s)", tuple(values), list
    )
    released = yield release_tasks(
        [TaskReport(row[0], row[1], row[2], row[3], release_delay=0) for row in lost], values[0]
    )
    return len(released)


def keep_alive(_known: Known, arguments: Arguments) -> Steps[Heartbeat]:
    """Beat, and recover stalled tasks if asked to."""
    *worker, recover = (argument.value for argument in arguments)
    deprecated_ids = yield Call("select pgflow._beat(%s, %s, %s, %s)", tuple(worker), lambda rows: rows[0][0])
    requeued, failed = (yield _recover(_BUFFER)) if recover else (0, 0)
    return Heartbeat(deprecated_ids, requeued, failed, None)


def recover_tasks(_known: Known, _arguments: Arguments) -> Steps[tuple[int, int]]:
    """Recover what has stalled for as long as everywhere."""
    recovered: tuple[int, int] = yield _recover(_BUFFER)
    return recovered


def recover_stalled_tasks(_known: Known, arguments: Arguments) -> Steps[int]:
    """Recover what has stalled for so long."""
    requeued, _ = yield _recover(arguments[0].value)
    return int(requeued)


def requeue_stalled_tasks(_known: Known, _arguments: Arguments) -> Steps[int]:
    """Recover, and say how many were put back."""
    requeued, _ = yield _recover(_BUFFER)
    return int(requeued)


def start_flows(_known: Known, arguments: Arguments) -> Steps[list[Row]]:
    """Start runs, and delay their first tasks if asked to. Gives rows, which callers decode in several ways."""
    if any(argument.is_given for argument in arguments[4:]):
        raise SchemaError(
            "runs can be started with an input, an id and a delay only in this database, whose schema pgflow was made "
            "by the reference's migrations; the rest needs a database with `pgflow migrate`"
        )
    flow_slug, inputs, run_ids, seconds = arguments[:4]
    rows: list[Row] = yield Call(
        "select to_jsonb(run)::text, run.run_id from pgflow._start_runs(%s, %s::text[]::jsonb[], %s::uuid[]) as run",
        (flow_slug.value, inputs.value, run_ids.value),
        list,
    )
    delay = (yield seconds_until(seconds.value)) if "seconds_until" in seconds.expression else seconds.value
    if delay:
        yield _delay_runs([row[1] for row in rows], delay)
    return [row[:1] for row in rows]


def start_runs(_known: Known, arguments: Arguments) -> Steps[list[Row]]:
    """Start runs that have neither keys nor tags, and delay their first tasks if asked to. Gives rows."""
    flow_slug, inputs, keys, tags, begin, run_ids = arguments[:6]
    if any(argument.is_given for argument in (keys, tags, *arguments[6:])):
        raise SchemaError(
            "runs have no keys and no tags in this database, whose schema pgflow was made by the reference's "
            "migrations; leave them out, or use a database with `pgflow migrate`"
        )
    delay = begin.value if "make_interval" in begin.expression else (yield seconds_until(begin.value))
    rows = yield from start_flows(_known, (flow_slug, inputs, run_ids, Argument("%s", (delay,))))
    return [(*row, False) for row in rows]


def get_run_tags(_known: Known, _arguments: Arguments) -> Steps[tuple[str, ...]]:
    """Say that there are none."""
    yield from ()
    return ()


def get_runs_if_ended(_known: Known, arguments: Arguments) -> Steps[list[Row]]:
    """Look at the statuses, then read what has ended, run by run. Gives rows."""
    statuses = yield get_run_statuses(arguments[0].value)
    rows: list[Row] = []
    for run_id, status in statuses.items():
        text = None
        if status in (RunStatus.COMPLETED, RunStatus.FAILED):
            text = yield Call("select pgflow.get_run_with_states(%s)::text", (run_id,), first_value)
        rows.append((run_id, text))
    return rows


def delay_run(_known: Known, arguments: Arguments) -> Steps[int]:
    """Delay the queued tasks of a run."""
    delayed: int = yield _delay_runs([arguments[1].value], arguments[2].value)
    return delayed


PROCEDURES: Final[Mapping[str, Callable[[Collection[str], Arguments], Steps[Any]]]] = {
    procedure.__name__: procedure
    for procedure in (
        exchange_tasks,
        fetch_tasks,
        complete_tasks,
        fail_tasks,
        release_lost_tasks,
        keep_alive,
        recover_tasks,
        recover_stalled_tasks,
        requeue_stalled_tasks,
        start_flows,
        start_runs,
        get_run_tags,
        get_runs_if_ended,
        delay_run,
        compare_flow,
        ensure_flow_compiled,
        upsert_flow,
        set_flow_type,
    )
}
"""What becomes of the functions that no single statement can stand for."""

GIVING_ROWS: Final = frozenset({"get_runs_if_ended", "start_flows", "start_runs"})
"""Those of them that give rows for the call to decode; the others give what it would decode them to."""


def _report(columns: Sequence[Any]) -> Steps[tuple[list[int], list[EndedRun]]]:
    recorded, going_on = yield Call(
        "select recorded, going_on from pgflow._report_tasks(%s, %s, %s, %s, %s::text[]::jsonb[], %s, %s, %s)",
        tuple(columns),
        lambda rows: rows[0][:2],
    )
    ended = (yield _ended_runs(going_on)) if recorded else []
    return [position - 1 for position in recorded], ended


def _exchange(
    report: Sequence[Any],
    flow_slugs: Sequence[str],
    worker_ids: Sequence[UUID],
    limit: int,
    exchanged: Exchanged,
) -> Steps[None]:
    rows = yield Call(
        "select recorded, ended_runs::text, flow_slug, run_id, step_slug, task_index, input, flow_input, message_id,"
        " attempt, max_attempts, timeout, base_delay"
        " from pgflow._exchange(%s, %s, %s, %s, %s::text[]::jsonb[], %s, %s, %s, %s, %s, %s, %s)",
        (*report, list(flow_slugs), list(worker_ids), limit, _BATCH),
        list,
    )
    for recorded, ended_runs, *row in rows:
        if recorded is None:
            _add(exchanged, row[:7], row[6:])
            continue
        exchanged.recorded = [position - 1 for position in recorded]
        if ended_runs is not None:
            exchanged.ended_runs.extend(from_json(EndedRun, run) for run in decode(ended_runs))


def _fetch(flow_slug: str, worker_id: UUID, limit: int, exchanged: Exchanged) -> Steps[None]:
    """Start tasks, and keep those that this worker really got."""
    started = yield Call(
        "select flow_slug, run_id, step_slug, task_index, input::text, flow_input::text, message_id"
        " from pgflow._read_tasks(%s, %s, %s)",
        (flow_slug, worker_id, limit),
        list,
    )
    if not started:
        return
    held = yield Call(
        "select message_id, attempt, max_attempts, timeout, base_delay from pgflow._hold_tasks(%s, %s, %s)",
        (flow_slug, [row[6] for row in started], worker_id),
        lambda rows: {row[0]: row for row in rows},
    )
    for row in started:
        if row[6] in held:
            _add(exchanged, row, held[row[6]])


def _add(exchanged: Exchanged, row: Row, options: Row) -> None:
    flow_slug, run_id, step_slug, task_index, task_input, flow_input, _ = row
    try:
        values = json_value(task_input), json_value(flow_input)
    except InvalidInput as error:
        failure = TaskReport(run_id, step_slug, task_index, options[1], error_message=describe_error(error))
        exchanged.unreadable.append(failure)
        return
    size = len(task_input or "") + len(flow_input or "")
    rest = (*values, *options, 0, size)
    exchanged.tasks.append(StartedTask(flow_slug, run_id, step_slug, task_index, *rest))
    exchanged.input_size += size


def _ended_runs(run_ids: Sequence[UUID]) -> Call[list[EndedRun]]:
    return Call(
        "select run_id, flow_slug, status, seconds, error_message from pgflow._ended_runs(%s)",
        (list(run_ids),),
        lambda rows: [EndedRun(*row) for row in rows],
    )


def _recover(buffer: float) -> Call[tuple[int, int]]:
    return Call(
        "select requeued_count, failed_count from pgflow._recover(%s)", (buffer,), lambda rows: (rows[0][0], rows[0][1])
    )


def _delay_runs(run_ids: Sequence[UUID], seconds: int) -> Call[int]:
    return Call("select pgflow._delay_runs(%s, %s)", (list(run_ids), seconds), lambda rows: int(rows[0][0]))
