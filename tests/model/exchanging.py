"""What workers do in one call: exchange reports for tasks, and give tasks back.

An exchange records completions, then failures, and then moves runs on. Tasks that this creates come first, then those
whose messages are visible, in the order of the messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.model import Model
from model.records import Completion, Demand, Exchanged, Failure, Release, Run, StartedTask, Task

VISIBLE_AFTER_A_LOOK = 5


class ExchangingModel(Model):
    """A model with the calls that several things happen in."""

    def release_tasks(self, reports: Sequence[Release]) -> list[int]:
        """Return the positions, from 1, of the tasks that were given back."""
        counted = []
        for position, report in self._counting(reports).items():
            run, _, task = self._found(report)
            if self._goes_on(report) and task.permanently_stalled_at is None:
                task.status, task.started_at, task.last_worker_id = "queued", None, None
                task.attempts_count -= 1
                self._queue(run).delay(task.message_id, report.delay or 0)
                counted.append(position)
        return sorted(counted)

    def exchange_tasks(
        self, completions: Sequence[Completion], failures: Sequence[Failure], demand: Demand
    ) -> Exchanged:
        """Positions are those of the completions with the failures behind them."""
        reported = {report.run_id for report in (*completions, *failures) if report.run_id in self.runs}
        going_on = [self.runs[run_id] for run_id in reported if self.runs[run_id].status == "started"]
        before = {run_id: skipped_steps(run) for run_id, run in self.runs.items()}

        completed, completing = self._record_completions(completions)
        failed, failing = self._record_failures(failures)
        moving = {run.run_id: run for run in (*completing, *failing)}
        tasks = self._hand_back(self._settle(list(moving.values())), demand)
        for flow_slug in demand.flow_slugs:
            tasks += self._take_tasks(flow_slug, demand, demand.limit - len(tasks))
        return Exchanged(
            sorted([*completed, *(len(completions) + position for position in failed)]),
            tasks,
            sorted((str(run.run_id), run.status) for run in going_on if run.status != "started"),
            sorted(skipped for run_id, run in self.runs.items() for skipped in skipped_steps(run) - before[run_id]),
        )

    def _take_tasks(self, flow_slug: str, demand: Demand, room: int) -> list[StartedTask]:
        """Look at so many visible messages: start their tasks, leave those of others for a while, archive the rest."""
        queue = self.queues[flow_slug]
        old = [message_id for message_id in sorted(queue.live) if demand.visible and message_id not in queue.delays]
        new = [message_id for message_id in sorted(queue.live) if queue.delays.get(message_id) == 0]
        taken = []
        for message_id in [*old, *new][:room]:
            run, key, task = self._of_message(flow_slug, message_id)
            goes_on = run.status == "started" and run.states[key[0]].status == "started"
            if goes_on and task.status == "queued":
                taken.append(self._start_task(run, key, task, demand.worker_id))
            elif goes_on and task.status == "started":
                queue.delay(message_id, VISIBLE_AFTER_A_LOOK)
            else:
                queue.archive(message_id)
        return sorted(taken, key=lambda task: task.message_id)

    def _of_message(self, flow_slug: str, message_id: int) -> tuple[Run, tuple[str, int], Task]:
        [found] = [
            (run, key, task)
            for run in self.runs.values()
            for key, task in run.tasks.items()
            if run.flow.slug == flow_slug and task.message_id == message_id
        ]
        return found

    def _hand_back(self, created: list[tuple[Run, tuple[str, int]]], demand: Demand) -> list[StartedTask]:
        """Start the new tasks of the flows that are wanted: the first ones, except those that are delayed."""
        tasks: list[StartedTask] = []
        for flow_slug in sorted(demand.flow_slugs):
            room = demand.limit - len(tasks)
            first = [(run, key) for run, key in created if run.flow.slug == flow_slug][:room]
            tasks += [
                self._start_task(run, key, run.tasks[key], demand.worker_id)
                for run, key in first
                if not run.flow.step(key[0]).start_delay
            ]
        return tasks


def skipped_steps(run: Run) -> set[tuple[str, str, str]]:
    """Return run, step and reason of the steps that were skipped."""
    return {(str(run.run_id), slug, str(state.skip_reason)) for slug, state in run.states.items() if state.skip_reason}
