"""The engine and a model of it get the same random calls on random flows, and agree on everything after each.

The examples are always the same. With the environment variable `PGFLOW_MODEL_EXAMPLES` there are so many per server,
other ones each time; a failure prints the calls that lead to it.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from model import strategies
from model.comparison import UNKNOWN, WORKERS, Comparison
from model.definition import Flow
from model.records import Completion, Demand
from sql.engine import record_events

WANTED = os.environ.get("PGFLOW_MODEL_EXAMPLES")
EXAMPLES = int(WANTED or 300)
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    derandomize=WANTED is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
MAX_RUNS = 4

has_runs = precondition(lambda machine: bool(machine.both.model.runs))


class Calls(RuleBasedStateMachine):
    """Random calls on two random flows, in a savepoint."""

    connection: ClassVar[psycopg.Connection[Any]]
    seen: ClassVar[Counter[str]]

    @initialize(first=strategies.flows("first"), second=strategies.flows("second", max_steps=3))
    def define(self, first: Flow, second: Flow) -> None:
        self.savepoint = ExitStack()
        self.savepoint.enter_context(self.connection.transaction(force_rollback=True))
        self.both = Comparison(self.connection, first, second)

    @precondition(lambda machine: len(machine.both.model.runs) < MAX_RUNS)
    @rule(data=st.data(), flow_slug=st.sampled_from(["first", "first", "second"]))
    def start_flow(self, data: st.DataObject, flow_slug: str) -> None:
        flow = self.both.model.flows[flow_slug]
        self.both.start_flow(flow_slug, data.draw(strategies.inputs(flow)))

    @precondition(lambda machine: len(machine.both.model.runs) < MAX_RUNS)
    @rule(data=st.data())
    def start_flows(self, data: st.DataObject) -> None:
        inputs = strategies.inputs(self.both.model.flows["first"])
        self.both.start_flows("first", data.draw(st.lists(inputs, min_size=1, max_size=2)))

    @has_runs
    @rule()
    def start_all_tasks(self) -> None:
        for slug in ("first", "second"):
            self.both.start_all(slug)

    @has_runs
    @rule(data=st.data(), flow_slug=st.sampled_from(["first", "second"]))
    def start_some_tasks(self, data: st.DataObject, flow_slug: str) -> None:
        queue = self.both.model.queues[flow_slug]
        known = [*queue.live, *queue.archived, 999]
        worker = data.draw(st.sampled_from([*WORKERS * 4, UNKNOWN]))
        self.both.start_tasks(flow_slug, data.draw(st.lists(st.sampled_from(known), max_size=4)), worker)

    @has_runs
    @rule(data=st.data())
    def complete_all_tasks(self, data: st.DataObject) -> None:
        self.both.start_all("first")
        reports = [
            Completion(run.run_id, slug, index, data.draw(strategies.fitting_outputs(run, slug)))
            for run in self.both.model.runs.values()
            for (slug, index), task in run.tasks.items()
            if task.status == "started"
        ]
        self.both.complete_tasks(reports)

    @has_runs
    @rule(data=st.data())
    def complete_task(self, data: st.DataObject) -> None:
        run, slug, index, _ = data.draw(strategies.addresses(self.both.model))
        self.both.complete_task(run.run_id, slug, index, data.draw(strategies.fitting_outputs(run, slug)))

    @has_runs
    @rule(data=st.data(), error=strategies.errors)
    def fail_task(self, data: st.DataObject, error: str | None) -> None:
        run, slug, index, _ = data.draw(strategies.addresses(self.both.model))
        self.both.fail_task(run.run_id, slug, index, error)

    @has_runs
    @rule(data=st.data())
    def complete_tasks(self, data: st.DataObject) -> None:
        self.both.complete_tasks(data.draw(strategies.completions(self.both.model)))

    @has_runs
    @rule(data=st.data())
    def fail_tasks(self, data: st.DataObject) -> None:
        self.both.fail_tasks(data.draw(strategies.failures(self.both.model)))

    @has_runs
    @rule(data=st.data(), demand=strategies.demands(WORKERS))
    def exchange_tasks(self, data: st.DataObject, demand: Demand) -> None:
        completions, failures = data.draw(strategies.mixed(self.both.model))
        self.both.exchange_tasks(completions, failures, demand)

    @has_runs
    @rule(data=st.data())
    def release_tasks(self, data: st.DataObject) -> None:
        self.both.release_tasks(data.draw(strategies.releases(self.both.model)))

    @has_runs
    @rule(data=st.data())
    def requeue_stalled_tasks(self, data: st.DataObject) -> None:
        self.both.requeue_stalled_tasks(after_seconds=data.draw(strategies.pauses(self.both.model)))

    @has_runs
    @rule(times=st.integers(1, 4))
    def lose_workers(self, times: int) -> None:
        for _ in range(times):
            self.both.start_all("first")
            self.both.requeue_stalled_tasks(after_seconds=1000)

    @has_runs
    @rule(data=st.data())
    def call_a_building_block(self, data: st.DataObject) -> None:
        blocks = [
            self.both.start_ready_steps,
            self.both.cascade_complete_taskless_steps,
            self.both.cascade_resolve_conditions,
            self.both.maybe_complete_run,
        ]
        block = data.draw(st.sampled_from(blocks).map(lambda block: block.__name__))
        getattr(self.both, block)(data.draw(st.sampled_from(list(self.both.model.runs))))

    @has_runs
    @rule(data=st.data(), is_wanted=st.integers(0, 3).map(lambda number: number == 3))
    def force_skip(self, data: st.DataObject, is_wanted: bool) -> None:
        run = data.draw(st.sampled_from(list(self.both.model.runs.values())))
        if is_wanted:
            self.both.force_skip(run.run_id, data.draw(st.sampled_from([*run.states, "nowhere"])))

    @has_runs
    @rule(data=st.data(), reason=st.sampled_from([None, "enough"]))
    def cancel_runs(self, data: st.DataObject, reason: str | None) -> None:
        going_on = [run.run_id for run in self.both.model.runs.values() if run.status == "started"]
        run_ids = st.sampled_from([*self.both.model.runs, *going_on[:1], UNKNOWN])
        self.both.cancel_runs(data.draw(st.lists(run_ids, min_size=1, max_size=2)), reason)

    @has_runs
    @rule(data=st.data())
    def retry_runs(self, data: st.DataObject) -> None:
        failed = [run.run_id for run in self.both.model.runs.values() if run.status == "failed"]
        run_ids = st.sampled_from([*self.both.model.runs, *failed * 2, UNKNOWN])
        self.both.retry_runs(data.draw(st.lists(run_ids, min_size=1, max_size=3)))

    def teardown(self) -> None:
        if hasattr(self, "both"):
            self.seen.update(["examples"])
            self.seen.update(f"call of {name}" for name in self.both.calls)
            self.seen.update(_reached(self.both))
        if hasattr(self, "savepoint"):
            self.savepoint.close()


def _reached(both: Comparison) -> list[str]:
    runs = both.model.runs.values()
    states = [state for run in runs for state in run.states.values()]
    tasks = [task for run in runs for task in run.tasks.values()]
    return [
        *(f"run {run.status}" for run in runs),
        *(f"step {state.status}" for state in states),
        *(f"step skipped: {state.skip_reason}" for state in states if state.skip_reason),
        *(
            f"step failed: {state.error_message.split()[0]}"
            for state in states
            if state.error_message and state.status == "failed"
        ),
        *(
            "step completed without tasks"
            for state in states
            if state.status == "completed" and not state.initial_tasks
        ),
        *(f"task {task.status}" for task in tasks),
        *("task tried again" for task in tasks if task.attempts_count > 1),
        *("task requeued" for task in tasks if task.requeued_count),
        *("run cancelled" for run in runs if run.cancellation is not None),
        *("task tried again after a retry of its run" for task in tasks if task.attempts_before_retry),
        *("task given up" for task in tasks if task.permanently_stalled_at is not None),
    ]


REACHED = {
    *("run started", "run completed", "run failed"),
    *("step created", "step started", "step completed", "step failed", "step skipped", "step completed without tasks"),
    *("step skipped: condition_unmet", "step skipped: handler_failed", "step skipped: dependency_skipped"),
    *("step failed: Condition", "step failed: [TYPE_VIOLATION]", "step failed: boom"),
    *("task queued", "task started", "task completed", "task failed"),
    *("task tried again", "task requeued", "task given up"),
    *("run cancelled", "task tried again after a retry of its run"),
}


@pytest.mark.feature("A5.4")
@pytest.mark.slow
@pytest.mark.timeout(600 + EXAMPLES)
def test_the_engine_does_what_the_model_does(connection: psycopg.Connection[Any], statistics: Counter[str]) -> None:
    record_events(connection)
    machine = type("Calls", (Calls,), {"connection": connection, "seen": statistics})
    run_state_machine_as_test(machine, settings=SETTINGS)
    assert statistics.keys() >= REACHED or EXAMPLES < 300
