"""What clients and operators do to runs from outside: cancel them, and let failed ones go on."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from model.exchanging import ExchangingModel
from model.records import Cancellation, Run


class ControllingModel(ExchangingModel):
    """A model whose runs can be cancelled and retried."""

    def cancel_runs(self, run_ids: Iterable[UUID], reason: str | None) -> dict[str, str]:
        """Return what became of each run."""
        outcomes = {}
        for run_id in sorted(set(run_ids)):
            run = self.runs.get(run_id)
            if run is None:
                outcome = "not_found"
            elif run.status == "started":
                outcome = "cancelled"
                run.cancellation = Cancellation(reason, self.now)
                self._end_failed_run(run, "Run cancelled" + (f": {reason}" if reason else ""))
            else:
                outcome = "ended" if run.cancellation is None else "already_cancelled"
            outcomes[str(run_id)] = outcome
        return outcomes

    def retry_runs(self, run_ids: Iterable[UUID]) -> dict[str, str]:
        """Return what became of each run."""
        words = {"failed": "retried", "started": "running", "completed": "completed"}
        found = {run_id: self.runs.get(run_id) for run_id in sorted(set(run_ids))}
        outcomes = {str(run_id): words[run.status] if run else "not_found" for run_id, run in found.items()}
        retried = [run for run in found.values() if run is not None and run.status == "failed"]
        for run in retried:
            reopen(run)
        self._requeue_open_tasks(retried)
        for run in retried:
            self._emit_run(run, "started", "input", "remaining_steps", "started_at")
            for slug, state in run.states.items():
                if state.status == "started":
                    self._emit_step(run, slug, "started_at", "remaining_tasks", "remaining_deps")
        self._settle(retried)
        return outcomes

    def _requeue_open_tasks(self, runs: list[Run]) -> None:
        still_open = [
            (run.flow.slug, slug, run.run_id, index)
            for run in runs
            for (slug, index), task in run.tasks.items()
            if run.states[slug].status == "started" and task.status != "completed"
        ]
        for flow_slug, slug, run_id, index in sorted(still_open):
            task = self.runs[run_id].tasks[slug, index]
            self.queues[flow_slug].archive(task.message_id)
            message = {"flow_slug": flow_slug, "run_id": str(run_id), "step_slug": slug, "task_index": index}
            fresh = type(task)(self.queues[flow_slug].send(message, 0), task.queued_at)
            fresh.attempts_count = fresh.attempts_before_retry = task.attempts_count
            fresh.error_message, fresh.last_requeued_at = task.error_message, task.last_requeued_at
            self.runs[run_id].tasks[slug, index] = fresh


def reopen(run: Run) -> None:
    """Take back what followed from the failure of a run, and count anew."""
    reopened = skips_to_undo(run) | {slug for slug, state in run.states.items() if state.status == "failed"}
    for slug in reopened:
        state = run.states[slug]
        state.status = "created" if state.started_at is None else "started"
        state.failed_at = state.skipped_at = state.skip_reason = state.error_message = None
    for step in run.flow.steps:
        state = run.states[step.slug]
        open_parents = sum(run.states[parent].status not in ("completed", "skipped") for parent in step.parents)
        state.remaining_deps = max(state.remaining_deps, open_parents) if state.status == "skipped" else open_parents
        if state.status == "created" and step.is_map and open_parents:
            state.initial_tasks = None
        if state.status == "started":
            state.remaining_tasks = sum(task.status != "completed" for task in run.tasks_of(step.slug))
    run.status, run.failed_at, run.cancellation = "started", None, None
    run.remaining_steps = sum(state.status not in ("completed", "skipped") for state in run.states.values())


def skips_to_undo(run: Run) -> set[str]:
    """Return the steps that were exhausted, if nothing behind them was started, with the skips that followed."""
    skipped = {slug: state for slug, state in run.states.items() if state.status == "skipped"}
    exhausted = [slug for slug, state in skipped.items() if state.skip_reason == "handler_failed"]
    following = set(run.flow.downstream([slug for slug in exhausted if not was_counted_on(run, slug)]))
    cascading = [slug for slug in skipped if slug not in following and has_cascaded(run, slug)]
    return (following & skipped.keys()) - set(run.flow.downstream(cascading))


def was_counted_on(run: Run, slug: str) -> bool:
    behind = [other for other in run.flow.downstream([slug]) if other != slug]
    return any(run.states[other].started_at is not None for other in behind)


def has_cascaded(run: Run, slug: str) -> bool:
    step, reason = run.flow.step(slug), run.states[slug].skip_reason
    if reason == "condition_unmet":
        return step.when_unmet == "skip-cascade"
    if reason == "handler_failed":
        return step.when_exhausted == "skip-cascade"
    return reason != "dependency_skipped"
