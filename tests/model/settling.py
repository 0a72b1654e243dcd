"""How runs move on: what is settled after each change, and how steps and runs end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from model.definition import Flow
from model.records import Event, Failure, Queue, Run, Task
from model.rules import known, unmet
from model.values import SQL_NULL, Json, as_json


class SettlingModel:
    """Runs, queues and events; `now` is the clock."""

    def __init__(self, flows: Iterable[Flow], workers: Iterable[UUID]) -> None:
        self.now = 0
        self.flows = {flow.slug: flow for flow in flows}
        self.workers = set(workers)
        self.runs: dict[UUID, Run] = {}
        self.queues = {slug: Queue() for slug in self.flows}
        self.events: list[Event] = []

    # Building blocks

    def start_ready_steps(self, run_id: UUID) -> None:
        self._start_ready_steps([self.runs[run_id]])

    def cascade_complete_taskless_steps(self, run_id: UUID) -> int:
        completed = 0
        while wave := self._complete_taskless_steps(self.runs[run_id]):
            completed += wave
        return completed

    def cascade_resolve_conditions(self, run_id: UUID) -> bool:
        self._resolve_conditions(self.runs[run_id])
        return self.runs[run_id].status != "failed"

    def maybe_complete_run(self, run_id: UUID) -> None:
        run = self.runs[run_id]
        if run.status == "started" and run.remaining_steps == 0:
            outputs = {
                step.slug: as_json(run.states[step.slug].output)
                for step in run.flow.steps
                if run.states[step.slug].status == "completed" and not run.flow.children(step.slug)
            }
            run.status, run.completed_at, run.output = "completed", self.now, outputs or SQL_NULL
            self._emit_run(run, "completed", "output", "completed_at")

    def cascade_force_skip_steps(self, run_id: UUID, slug: str, reason: str) -> int:
        return self._force_skip(self.runs[run_id], [slug], reason)

    # The settle sequence

    def _settle(self, runs: Sequence[Run]) -> list[tuple[Run, tuple[str, int]]]:
        """Return the tasks that this creates."""
        for run in runs:
            self._resolve_conditions(run)
            while self._complete_taskless_steps(run):
                self._resolve_conditions(run)
        created = self._start_ready_steps(runs)
        for run in runs:
            self.maybe_complete_run(run.run_id)
        return created

    def _resolve_conditions(self, run: Run) -> None:
        while True:
            if failing := unmet(run, "fail"):
                self._fail_run(run, failing[0], "Condition not met")
            skipping = unmet(run, "skip")
            for slug in skipping:
                self._skip_step(run, slug, "condition_unmet")
                self._release_children(run, slug)
            self._force_skip(run, unmet(run, "skip-cascade"), "condition_unmet")
            if not skipping:
                return

    def _complete_taskless_steps(self, run: Run) -> int:
        wave = [slug for slug, state in run.ready().items() if state.initial_tasks == 0]
        for slug in wave:
            state = run.states[slug]
            state.status, state.started_at, state.completed_at = "completed", self.now, self.now
            state.remaining_tasks, state.output = 0, [] if run.flow.step(slug).is_map else SQL_NULL
            run.remaining_steps -= 1
            self._release_children(run, slug)
            details = ("output", "completed_at", "started_at", "remaining_tasks", "remaining_deps")
            self._emit_step(run, slug, *details)
        return len(wave)

    def _start_ready_steps(self, runs: Sequence[Run]) -> list[tuple[Run, tuple[str, int]]]:
        created = []
        starting = [(slug, run) for run in runs for slug, state in run.ready().items() if state.initial_tasks]
        for slug, run in sorted(starting, key=lambda start: (start[0], start[1].run_id)):
            state = run.states[slug]
            state.status, state.started_at, state.remaining_tasks = "started", self.now, state.initial_tasks
            self._emit_step(run, slug, "started_at", "remaining_tasks", "remaining_deps")
            for index in range(known(state.initial_tasks)):
                message = {
                    "flow_slug": run.flow.slug,
                    "run_id": str(run.run_id),
                    "step_slug": slug,
                    "task_index": index,
                }
                message_id = self._queue(run).send(message, run.flow.step(slug).start_delay or 0)
                run.tasks[slug, index] = Task(message_id, self.now)
                created.append((run, (slug, index)))
        return created

    # How steps and runs end

    def _complete_step(self, run: Run, slug: str) -> None:
        state, tasks = run.states[slug], run.tasks_of(slug)
        is_map = run.flow.step(slug).is_map
        state.status, state.completed_at = "completed", self.now
        state.output = [as_json(task.output) for task in tasks] if is_map else tasks[0].output
        run.remaining_steps -= 1
        self._release_children(run, slug)
        self._emit_step(run, slug, "output", "completed_at")

    def _skip_step(self, run: Run, slug: str, reason: str, error: str | None = None) -> None:
        state = run.states[slug]
        state.status, state.skip_reason, state.skipped_at, state.remaining_tasks = "skipped", reason, self.now, None
        state.error_message = error
        run.remaining_steps -= 1
        self._archive_active(run, slug)
        details = ("flow_slug", "skip_reason", "skipped_at")
        self._emit_step(run, slug, *details, *(("error_message",) if reason == "handler_failed" else ()))

    def _force_skip(self, run: Run, slugs: list[str], reason: str) -> int:
        newly = [s for s in run.flow.downstream(slugs) if run.states[s].status in ("created", "started")]
        for slug in newly:
            self._skip_step(run, slug, reason if slug in slugs else "dependency_skipped")
        return len(newly)

    def _skip_exhausted(self, reports: Sequence[Failure]) -> None:
        """Skip the steps themselves, then all that cascades together, in the order of definition."""
        cascading: dict[UUID, list[str]] = {}
        for report in reports:
            run = self.runs[report.run_id]
            self._skip_step(run, report.step_slug, "handler_failed", report.error_message)
            if run.flow.step(report.step_slug).when_exhausted == "skip-cascade":
                cascading.setdefault(report.run_id, []).append(report.step_slug)
            else:
                self._release_children(run, report.step_slug)
        for run_id, slugs in cascading.items():
            self._force_skip(self.runs[run_id], slugs, "dependency_skipped")

    def _fail_run(self, run: Run, slug: str, error: str | None) -> None:
        state = run.states[slug]
        state.status, state.failed_at, state.error_message = "failed", self.now, error
        self._emit_step(run, slug, "error_message", "failed_at")
        self._end_failed_run(run, error)

    def _end_failed_run(self, run: Run, error: str | None) -> None:
        run.status, run.failed_at = "failed", self.now
        self._emit_run(run, "failed", "failed_at", error_message=error)
        for started in run.states:
            self._archive_active(run, started)

    def _release_children(self, run: Run, slug: str) -> None:
        parent = run.states[slug]
        for step in run.flow.children(slug):
            child = run.states[step.slug]
            child.remaining_deps -= 1
            if step.is_map and (parent.status == "skipped" or parent.initial_tasks == 0):
                child.initial_tasks = 0
            elif step.is_map and child.initial_tasks is None:
                child.initial_tasks = (
                    parent.initial_tasks if run.flow.step(slug).is_map else len(as_json(parent.output))
                )

    # Messages and events

    def _queue(self, run: Run) -> Queue:
        return self.queues[run.flow.slug]

    def _archive_active(self, run: Run, slug: str) -> None:
        for task in run.tasks_of(slug):
            if task.status in ("queued", "started"):
                self._queue(run).archive(task.message_id)

    def _emit_run(self, run: Run, status: str, *keys: str, **more: Json) -> None:
        name = f"run:{status}"
        fixed = {"event_type": name, "run_id": str(run.run_id), "flow_slug": run.flow.slug, "status": status}
        self.events.append(Event(name, {**fixed, **{key: as_json(getattr(run, key)) for key in keys}, **more}))

    def _emit_step(self, run: Run, slug: str, *keys: str) -> None:
        status = run.states[slug].status
        fixed = {"event_type": f"step:{status}", "run_id": str(run.run_id), "step_slug": slug, "status": status}
        columns = {"flow_slug": run.flow.slug, **vars(run.states[slug])}
        more = {key: as_json(columns[key]) for key in keys}
        self.events.append(Event(f"step:{slug}:{status}", {**fixed, **more}))
