"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pgflow import telemetry
from pgflow.integrations import prometheus
from pgflow.integrations.metrics import METRICS, OBSERVED, measure
from telemetry.events import WORKER_ID, complete, discard, fail, run, start, task

STEP = {"flow_slug": "shop", "step_slug": "pay"}


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    prometheus.instrument(registry)
    yield registry
    prometheus.uninstrument()


def test_attempts_are_counted_by_outcome(registry: CollectorRegistry) -> None:
    for end in (complete, complete, fail, discard, lambda metadata: fail(metadata, retry_delay=4)):
        metadata = task()
        start(metadata)
        end(metadata)
    start(task())
    counted = {
        outcome: registry.get_sample_value("pgflow_task_attempts_total", {**STEP, "outcome": outcome})
        for outcome in ("completed", "failed", "retried", "discarded")
    }
    assert counted == {"completed": 2, "failed": 1, "retried": 1, "discarded": 1}
    assert registry.get_sample_value("pgflow_task_active", STEP) == 1


def test_durations_are_in_seconds(registry: CollectorRegistry) -> None:
    complete(task(), 0.3)
    complete(task(), 2)
    labels = {**STEP, "outcome": "completed"}
    assert registry.get_sample_value("pgflow_task_duration_seconds_sum", labels) == 2.3
    assert registry.get_sample_value("pgflow_task_duration_seconds_bucket", {**labels, "le": "0.5"}) == 1


def test_runs_are_counted(registry: CollectorRegistry) -> None:
    telemetry.emit("run.started", {"system_time": 1.0}, run())
    telemetry.emit("run.completed", {"duration": 3.0}, run())
    telemetry.emit("run.failed", {"duration": 4.0}, {**run(), "error": "ValueError: no money"})
    assert registry.get_sample_value("pgflow_run_started_total", {"flow_slug": "shop"}) == 1
    for outcome, seconds in (("completed", 3), ("failed", 4)):
        labels = {"flow_slug": "shop", "outcome": outcome}
        assert registry.get_sample_value("pgflow_run_ended_total", labels) == 1
        assert registry.get_sample_value("pgflow_run_duration_seconds_sum", labels) == seconds


def test_workers_polls_and_skipped_steps_are_counted(registry: CollectorRegistry) -> None:
    worker = {"worker_id": WORKER_ID, "flow_slug": "shop"}
    for _ in range(2):
        telemetry.emit("worker.start", {"system_time": 1.0}, {**worker, "worker_name": "one"})
    telemetry.emit("worker.stop", {"duration": 1.0}, {**worker, "worker_name": "one", "stop_reason": "operator"})
    telemetry.emit("poll.stop", {"duration": 0.01, "task_count": 1}, {**worker, "active_tasks": 0})
    telemetry.emit("step.skipped", {"system_time": 1.0}, {**run(), "step_slug": "pay", "skip_reason": "handler_failed"})
    assert registry.get_sample_value("pgflow_worker_flows", {"flow_slug": "shop"}) == 1
    assert registry.get_sample_value("pgflow_poll_duration_seconds_count", {"flow_slug": "shop"}) == 1
    assert registry.get_sample_value("pgflow_step_skipped_total", {**STEP, "skip_reason": "handler_failed"}) == 1


def test_prometheus_can_read_the_text(registry: CollectorRegistry) -> None:
    complete(task())
    text = generate_latest(registry).decode()
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {name for name in families if not name.endswith("_created")} == {
        metric.prometheus_name.removesuffix("_total") for metric in METRICS
    }
    assert "secret" not in text


def test_counting_twice_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match=r"attached as 'pgflow\.prometheus'; detach it first"):
        prometheus.instrument(CollectorRegistry())
    complete(task())
    assert registry.get_sample_value("pgflow_task_attempts_total", {**STEP, "outcome": "completed"}) == 1


def test_a_name_that_is_taken_is_refused_and_nothing_is_counted() -> None:
    registry = CollectorRegistry()
    Counter("pgflow_task_attempts", "Mine.", registry=registry)
    with pytest.raises(ValueError, match="pgflow_task_attempts"):
        prometheus.instrument(registry)
    assert not prometheus.uninstrument()


def test_every_observed_event_is_measured_and_every_metric_comes_from_one() -> None:
    examples = {
        "flow_slug": "shop",
        "step_slug": "pay",
        "skip_reason": "condition_unmet",
        "retry_delay": None,
        "duration": 1.0,
    }
    measured = {event: list(measure(event, examples, examples)) for event in OBSERVED}
    assert all(measured.values())
    assert {metric for found in measured.values() for metric, _, _ in found} == set(METRICS)
