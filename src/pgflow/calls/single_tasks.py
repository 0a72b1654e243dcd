"""The contract's calls about single tasks, without fencing; workers of this package use those for batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pgflow.calls.call import Call, Row, first_value, from_json
from pgflow.serialize import decode
from pgflow.types import Json, StepTask


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a queue of pgmq. `message` says which task it announces."""

    msg_id: int
    read_ct: int
    enqueued_at: datetime
    vt: datetime
    message: Json
    headers: Json


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A row of type `pgflow.step_task_record`: a task that was started, without its attempt."""

    flow_slug: str
    run_id: UUID
    step_slug: str
    input: Json
    msg_id: int
    task_index: int
    flow_input: Json


def read(queue_name: str, visibility_timeout: int, limit: int) -> Call[list[Message]]:
    """Read messages, which then stay invisible for so many seconds: `pgmq.read`. A queue is named as its flow."""
    return Call(
        "select to_jsonb(found)::text from pgmq.read(%s, %s, %s) as found",
        (queue_name, visibility_timeout, limit),
        _messages,
    )


def delete_message(queue_name: str, message_id: int) -> Call[bool]:
    """Delete a message: `pgmq.delete`. Gives whether it was there."""
    return Call("select pgmq.delete(%s::text, %s::bigint)", (queue_name, message_id), first_value)


def set_vt_batch(queue_name: str, message_ids: Sequence[int], offsets: Sequence[int]) -> Call[list[Message]]:
    """Make each message visible in so many seconds: `pgflow.set_vt_batch`. Gives the messages changed."""
    return Call(
        "select to_jsonb(changed)::text from pgflow.set_vt_batch(%s, %s::bigint[], %s::int[]) as changed",
        (queue_name, list(message_ids), list(offsets)),
        _messages,
    )


def start_tasks(flow_slug: str, message_ids: Sequence[int], worker_id: UUID) -> Call[list[TaskRecord]]:
    """Start the tasks that these messages announce: `pgflow.start_tasks`. Gives those that this call started."""
    return Call(
        "select to_jsonb(task)::text from pgflow.start_tasks(%s, %s::bigint[], %s) as task",
        (flow_slug, list(message_ids), worker_id),
        lambda rows: [from_json(TaskRecord, decode(row[0])) for row in rows],
    )


def complete_task(run_id: UUID, step_slug: str, task_index: int, output: bytes | None) -> Call[StepTask | None]:
    """Report a completed task, whose output is JSON text: `pgflow.complete_task`. Gives it, if there is one."""
    return Call(
        "select to_jsonb(task)::text from pgflow.complete_task(%s, %s, %s, %s::jsonb) as task",
        (run_id, step_slug, task_index, None if output is None else output.decode()),
        _task_if_any,
    )


def fail_task(run_id: UUID, step_slug: str, task_index: int, error_message: str) -> Call[StepTask | None]:
    """Report a failed task: `pgflow.fail_task`. Gives it, if there is one."""
    return Call(
        "select to_jsonb(task)::text from pgflow.fail_task(%s, %s, %s, %s) as task",
        (run_id, step_slug, task_index, error_message),
        _task_if_any,
    )


def calculate_retry_delay(base_delay: int, attempts_count: int) -> Call[int]:
    """Return the seconds between this attempt and the next: `pgflow.calculate_retry_delay`."""
    return Call("select pgflow.calculate_retry_delay(%s, %s)", (base_delay, attempts_count), first_value)


def poll_for_tasks(queue_name: str, visibility_timeout: int, limit: int) -> Call[list[TaskRecord]]:
    """Do nothing: `pgflow.poll_for_tasks` is deprecated."""
    return Call(
        "select to_jsonb(task)::text from pgflow.poll_for_tasks(%s, %s, %s) as task",
        (queue_name, visibility_timeout, limit),
        lambda rows: [from_json(TaskRecord, decode(row[0])) for row in rows],
    )


def _messages(rows: Sequence[Row]) -> list[Message]:
    return [from_json(Message, decode(row[0])) for row in rows]


def _task_if_any(rows: Sequence[Row]) -> StepTask | None:
    return from_json(StepTask, decode(rows[0][0])) if rows else None
