"""Works tasks by hand, through the same calls as a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import psycopg

from pgflow import calls
from pgflow.calls import Call
from pgflow.serialize import encode
from pgflow.types import StartedTask, TaskReport


class Workbench:
    """A connection that fetches tasks of a flow and reports them as the test says."""

    def __init__(self, connection: psycopg.Connection[Any], flow_slug: str = "greeting") -> None:
        self.connection = connection
        self.flow_slug = flow_slug
        self.worker_id = uuid4()
        self.call(calls.register_worker(self.worker_id, flow_slug, "workbench"))

    def call(self, call: Call[Any]) -> Any:
        return call.decode(self.connection.execute(call.sql, call.arguments).fetchall())

    def fetch(self, limit: int = 10) -> list[StartedTask]:
        return self.call(calls.fetch_tasks(self.flow_slug, self.worker_id, limit))

    def complete(self, output: Any) -> None:
        """Complete all tasks that are there with this output."""
        self.report(calls.complete_tasks, {"output": encode(output)})

    def fail(self, error_message: str) -> None:
        """Fail all tasks that are there."""
        self.report(calls.fail_tasks, {"error_message": error_message})

    def echo(self) -> None:
        """Complete all tasks of a run, step after step, each with what it received."""
        while tasks := self.fetch():
            for task in tasks:
                received = task.flow_input if task.input == {} else task.input
                output = received["name"] if task.step_slug == "greet" else received
                self.call(calls.complete_tasks([reported(task, output=encode(output))]))

    def finish(self, tasks: Sequence[StartedTask]) -> None:
        """Complete these tasks at once, each with what it received."""
        self.call(calls.complete_tasks([reported(task, output=encode(task.input)) for task in tasks]))

    def report(self, call: Callable[[Sequence[TaskReport]], Call[list[int]]], content: dict[str, Any]) -> None:
        tasks = self.fetch()
        assert tasks, "no task to report"
        assert self.call(call([reported(task, **content) for task in tasks])) == list(range(len(tasks)))


def reported(task: StartedTask, **content: Any) -> TaskReport:
    return TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, **content)
