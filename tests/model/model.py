"""What the engine does, as a pure state machine over one clock, written from the contract.

A call is a method with the name of the SQL function. Batches are judged as the engine documents it: of several reports
of one task the first that names its attempt, or none, counts; late reports come first, then one that fails its run
comes before all others of that run; then the others are recorded, retries before skips, and only then do the runs in
which a step ended move on, once each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from model.definition import Flow
from model.records import Completion, Failure, Refused, Release, Run, StartedTask, State, Task
from model.rules import check_inputs, initial_tasks, known, task_input, waiting_maps
from model.settling import SettlingModel
from model.values import SQL_NULL, Json, Value, type_name

REQUEUES = 3
STALLED_AFTER = 30
VISIBLE_AFTER_TIMEOUT = 2

Report = TypeVar("Report", bound=Completion | Failure | Release)


class Model(SettlingModel):
    """A model with the calls that start runs and work tasks."""

    # Starting runs

    def start_flows(self, flow_slug: str, inputs: Sequence[tuple[UUID, Value]]) -> list[UUID]:
        flow = self.flows[flow_slug]
        check_inputs(flow, [value for _, value in inputs])
        started = [self._new_run(flow, run_id, value) for run_id, value in inputs]
        self.runs.update((run.run_id, run) for run in started)
        for run in started:
            self._emit_run(run, "started", "input", "remaining_steps", "started_at")
        self._settle(started)
        return [run.run_id for run in started]

    def _new_run(self, flow: Flow, run_id: UUID, value: Json) -> Run:
        states = {step.slug: State(len(step.parents), initial_tasks(step, value), self.now) for step in flow.steps}
        return Run(run_id, flow, value, self.now, len(flow.steps), states)

    # Working tasks

    def start_tasks(self, flow_slug: str, message_ids: Iterable[int], worker_id: UUID) -> list[StartedTask]:
        claimed = [
            (run, key, task)
            for run in self.runs.values()
            for key, task in run.tasks.items()
            if run.flow.slug == flow_slug and task.message_id in set(message_ids)
            if run.status == "started" and run.states[key[0]].status == "started" and task.status == "queued"
        ]
        if claimed and worker_id not in self.workers:
            raise Refused("23503", "step_tasks_last_worker_id_fkey")
        return [self._start_task(run, key, task, worker_id) for run, key, task in claimed]

    def _start_task(self, run: Run, key: tuple[str, int], task: Task, worker_id: UUID) -> StartedTask:
        slug, index = key
        step = run.flow.step(slug)
        task.status, task.started_at, task.last_worker_id = "started", self.now, worker_id
        task.attempts_count += 1
        self._queue(run).delay(task.message_id, run.flow.timeout_of(step) + VISIBLE_AFTER_TIMEOUT)
        flow_input = SQL_NULL if step.is_map or step.parents else run.input
        return StartedTask(run.run_id, slug, index, task.message_id, task_input(run, step, index), flow_input)

    def complete_tasks(self, reports: Sequence[Completion]) -> list[int]:
        """Return the positions, from 1, of the reports that counted."""
        counted, runs = self._record_completions(reports)
        self._settle(runs)
        return sorted(counted)

    def fail_tasks(self, reports: Sequence[Failure]) -> list[int]:
        """Return the positions, from 1, of the reports that counted."""
        counted, runs = self._record_failures(reports)
        self._settle(runs)
        return sorted(counted)

    def _record_completions(self, reports: Sequence[Completion]) -> tuple[list[int], list[Run]]:
        """Return the positions of the reports that counted, and the runs in which a step ended."""
        counting = self._counting(reports)
        counted = []
        for position, report in counting.items():
            if self._goes_on(report) and self._violates_type(report):
                self._fail_by_type(report)
                counted.append(position)

        ended: dict[UUID, list[str]] = {}
        for position, report in counting.items():
            if self._goes_on(report):
                self._complete_task(report)
                counted.append(position)
                if self.runs[report.run_id].states[report.step_slug].remaining_tasks == 0:
                    ended.setdefault(report.run_id, []).append(report.step_slug)

        for run_id, slugs in ended.items():
            for slug in sorted(slugs):
                self._complete_step(self.runs[run_id], slug)
        self._archive_late(reports)
        return counted, [self.runs[run_id] for run_id in ended]

    def _record_failures(self, reports: Sequence[Failure]) -> tuple[list[int], list[Run]]:
        """Return the positions of the reports that counted, and the runs in which a step was skipped."""
        counting = self._counting(reports)
        # Judged as found: in a run that goes on, a report for a step that has ended is late.
        late = {p for p, r in counting.items() if self.runs[r.run_id].status != "failed" and not self._goes_on(r)}
        counted = []
        for position, report in counting.items():
            if self._goes_on(report) and self._outcome(report) == "fail":
                self._fail_task(report)
                self._fail_run(self.runs[report.run_id], report.step_slug, report.error_message)
                counted.append(position)

        skipping: dict[tuple[UUID, str], Failure] = {}
        for position, report in counting.items():
            if position in late or position in counted:
                continue
            if self.runs[report.run_id].status == "failed":
                self._fail_task(report)
            elif self._outcome(report) == "retry":
                self._retry_task(report)
            elif (report.run_id, report.step_slug) not in skipping:
                self._fail_task(report)
                skipping[report.run_id, report.step_slug] = report
            else:
                continue
            counted.append(position)

        self._skip_exhausted(list(skipping.values()))
        self._archive_late(reports)
        return counted, [self.runs[run_id] for run_id in dict.fromkeys(run_id for run_id, _ in skipping)]

    def requeue_stalled_tasks(self) -> int:
        stalled = [
            (run, task)
            for run in self.runs.values()
            for (slug, _), task in run.tasks.items()
            if run.status == "started" and task.status == "started" and task.permanently_stalled_at is None
            if known(task.started_at) < self.now - run.flow.timeout_of(run.flow.step(slug)) - STALLED_AFTER
        ]
        requeued = [(run, task) for run, task in stalled if task.requeued_count < REQUEUES]
        given_up = [(run, task) for run, task in stalled if task.requeued_count >= REQUEUES]
        for run, task in requeued:
            task.status, task.started_at, task.last_worker_id = "queued", None, None
            task.requeued_count, task.last_requeued_at = task.requeued_count + 1, self.now
            self._queue(run).delay(task.message_id, 0)
        for run, task in given_up:
            task.permanently_stalled_at = self.now
            self._queue(run).archive(task.message_id)
        return len(requeued)

    # How tasks end

    def _complete_task(self, report: Completion) -> None:
        run, state, task = self._found(report)
        task.status, task.completed_at, task.output = "completed", self.now, report.output
        state.remaining_tasks = known(state.remaining_tasks) - 1
        self._queue(run).archive(task.message_id)

    def _fail_task(self, report: Failure) -> None:
        run, _, task = self._found(report)
        task.status, task.failed_at, task.error_message = "failed", self.now, report.error_message
        self._queue(run).archive(task.message_id)

    def _retry_task(self, report: Failure) -> None:
        run, _, task = self._found(report)
        task.status, task.started_at, task.error_message = "queued", None, report.error_message
        delay = run.flow.base_delay_of(run.flow.step(report.step_slug)) * 2 ** (
            task.attempts_count - task.attempts_before_retry
        )
        self._queue(run).delay(task.message_id, delay if report.retry_delay is None else report.retry_delay)

    def _violates_type(self, report: Completion) -> bool:
        run, _, _ = self._found(report)
        is_single = not run.flow.step(report.step_slug).is_map
        return is_single and type_name(report.output) != "array" and bool(waiting_maps(run, report.step_slug))

    def _fail_by_type(self, report: Completion) -> None:
        run, _, task = self._found(report)
        kind, child = type_name(report.output), waiting_maps(run, report.step_slug)[0]
        task.status, task.failed_at, task.output = "failed", self.now, report.output
        task.error_message = f"[TYPE_VIOLATION] Produced {kind} instead of array"
        expects = f"Map step {child} expects array input but dependency {report.step_slug} produced {kind}"
        self._fail_run(run, report.step_slug, f"[TYPE_VIOLATION] {expects}")
        self._queue(run).archive(task.message_id)

    # Reports

    def _counting(self, reports: Sequence[Report]) -> dict[int, Report]:
        """Return by position the first report of each started task that names its attempt, or none."""
        counting: dict[tuple[UUID, str, int], tuple[int, Report]] = {}
        for position, report in enumerate(reports, 1):
            if self._is_known(report):
                task = self._found(report)[2]
                if task.status == "started" and report.attempt in (None, task.attempts_count):
                    counting.setdefault((report.run_id, report.step_slug, report.task_index), (position, report))
        return dict(counting.values())

    def _is_known(self, report: Report) -> bool:
        run = self.runs.get(report.run_id)
        return run is not None and (report.step_slug, report.task_index) in run.tasks

    def _found(self, report: Report) -> tuple[Run, State, Task]:
        run = self.runs[report.run_id]
        return run, run.states[report.step_slug], run.tasks[report.step_slug, report.task_index]

    def _goes_on(self, report: Report) -> bool:
        run, state, task = self._found(report)
        return (run.status, state.status, task.status) == ("started", "started", "started")

    def _outcome(self, report: Failure) -> str:
        run, _, task = self._found(report)
        step = run.flow.step(report.step_slug)
        attempts = task.attempts_count - task.attempts_before_retry
        attempts_left = attempts < run.flow.max_attempts_of(step) and not report.final
        if task.permanently_stalled_at is not None:  # its message is archived, nobody could take it up again
            attempts_left = False
        return "retry" if attempts_left else step.when_exhausted

    def _archive_late(self, reports: Sequence[Report]) -> None:
        for report in filter(self._is_known, reports):
            run, state, task = self._found(report)
            if state.status != "started":
                self._queue(run).archive(task.message_id)
