"""Traces and metrics for OpenTelemetry, with its SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pgflow import telemetry
from pgflow.integrations import otel
from telemetry.events import complete, discard, fail, run, start, task


class Collected:
    """What was exported."""

    def __init__(self, sample_ratio: float = 1.0) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._metrics], shutdown_on_exit=False)
        otel.instrument(self.tracers, self._meters, sample_ratio=sample_ratio)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Return the points of a metric by the values of their attributes."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        metrics = [m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]
        (metric,) = [metric for metric in metrics if metric.name == name]
        return {tuple((point.attributes or {}).values()): point for point in metric.data.data_points}

    def shutdown(self) -> None:
        self.tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    otel.uninstrument()
    collected.shutdown()


def in_task(function: Any, *arguments: Any) -> None:
    """Call a function in a context of its own, as a worker does with a handler."""
    copy_context().run(function, *arguments)


def test_an_attempt_is_a_span_as_long_as_its_handler_took(collected: Collected) -> None:
    metadata = task(task_index=2)
    in_task(start, metadata)
    complete(metadata, 0.25)
    span = collected.span
    assert (span.name, span.kind, span.status.status_code) == ("shop.pay", SpanKind.CONSUMER, StatusCode.UNSET)
    assert (span.start_time, span.end_time) == (1000 * 10**9, 1000 * 10**9 + 25 * 10**7)
    assert dict(span.attributes or {}) == {
        "pgflow.flow_slug": "shop",
        "pgflow.run_id": str(metadata["run_id"]),
        "pgflow.step_slug": "pay",
        "pgflow.task_index": 2,
        "pgflow.attempt": 1,
        "pgflow.max_attempts": 3,
        "pgflow.worker_id": str(metadata["worker_id"]),
    }
    assert "secret" not in span.to_json()


def test_a_failed_attempt_carries_its_exception(collected: Collected) -> None:
    metadata = task()
    in_task(start, metadata)
    fail(metadata, "ValueError: no money: none", retry_delay=4)
    span = collected.span
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: no money: none")
    (event,) = span.events
    assert event.name == "exception"
    assert dict(event.attributes or {}) == {
        "exception.type": "ValueError",
        "exception.message": "no money: none",
        "exception.stacktrace": "Traceback …",
    }


def test_an_attempt_that_does_not_count_is_no_error(collected: Collected) -> None:
    metadata = task()
    in_task(start, metadata)
    discard(metadata, "snoozed")
    assert collected.span.status.status_code is StatusCode.UNSET
    assert (collected.span.attributes or {})["pgflow.discarded"] == "snoozed"


def test_all_spans_of_a_run_are_in_the_trace_that_follows_from_its_id(collected: Collected) -> None:
    run_id = uuid4()
    for attempt in (1, 2):
        metadata = task(run_id, attempt=attempt)
        in_task(start, metadata)
        complete(metadata)
    telemetry.emit("run.completed", {"duration": 3.0}, run(run_id))
    in_task(start, other := task())
    complete(other)
    expected = otel.trace_of(run_id)
    *mine, foreign = collected.spans
    assert [span.name for span in mine] == ["shop.pay", "shop.pay", "shop"]
    assert {(span.context.trace_id, span.parent.span_id) for span in mine if span.context and span.parent} == {
        (expected.trace_id, expected.span_id)
    }
    assert foreign.context is not None
    assert foreign.context.trace_id != expected.trace_id


@pytest.mark.parametrize("event", ["run.completed", "run.failed"])
def test_a_run_is_a_span_as_long_as_it_took(collected: Collected, event: str) -> None:
    error = {"error": "ValueError: no money"} if event == "run.failed" else {}
    telemetry.emit(event, {"duration": 3.0}, {**run(), **error})
    span = collected.span
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 3 * 10**9
    assert (span.status.status_code is StatusCode.ERROR) == (event == "run.failed")


def test_spans_made_in_a_handler_are_children_of_its_attempt_and_nothing_stays_behind(collected: Collected) -> None:
    tracer = collected.tracers.get_tracer("shop")
    metadata = task()

    def handler() -> None:
        start(metadata)
        tracer.start_span("query").end()

    in_task(handler)
    tracer.start_span("elsewhere").end()
    complete(metadata)
    query, elsewhere, attempt = collected.spans
    assert query.parent is not None
    assert attempt.context is not None
    assert query.parent.span_id == attempt.context.span_id
    assert elsewhere.parent is None


def test_who_starts_a_run_gets_a_link_to_its_trace(collected: Collected) -> None:
    run_id = uuid4()
    with collected.tracers.get_tracer("shop").start_as_current_span("request"):
        telemetry.emit("run.started", {"system_time": 1.0}, run(run_id))
    (link,) = collected.span.links
    assert link.context.trace_id == otel.trace_of(run_id).trace_id
    assert dict(link.attributes or {}) == {"pgflow.flow_slug": "shop", "pgflow.run_id": str(run_id)}


def test_starting_a_run_outside_of_a_trace_writes_none(collected: Collected) -> None:
    telemetry.emit("run.started", {"system_time": 1.0}, run())
    assert collected.spans == []


def test_an_attempt_that_began_earlier_is_left_out(collected: Collected) -> None:
    complete(task())
    fail(task())
    assert collected.spans == []


@pytest.mark.parametrize(("sample_ratio", "recorded"), [(0.0, 0), (0.25, 25), (1.0, 100)])
def test_a_share_of_the_runs_is_recorded_and_it_is_the_same_in_every_worker(sample_ratio: float, recorded: int) -> None:
    run_ids = [UUID(int=number << 70) for number in range(100)]
    for _ in range(2):
        collected = Collected(sample_ratio)
        try:
            for run_id in run_ids:
                telemetry.emit("run.completed", {"duration": 3.0}, run(run_id))
            chosen = {(span.attributes or {})["pgflow.run_id"] for span in collected.spans}
        finally:
            otel.uninstrument()
            collected.shutdown()
        assert recorded * 0.6 <= len(chosen) <= recorded * 1.4
        assert chosen == {
            str(run_id) for run_id in run_ids if otel.trace_of(run_id, sample_ratio=sample_ratio).trace_flags
        }


@pytest.mark.parametrize("sample_ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_that_is_none_is_refused(sample_ratio: float) -> None:
    with pytest.raises(ValueError, match="sample_ratio is from 0 to 1, not"):
        otel.instrument(sample_ratio=sample_ratio)
    assert not otel.uninstrument()


def test_instrumenting_twice_is_refused(collected: Collected) -> None:
    with pytest.raises(ValueError, match="detach it first"):
        otel.instrument()


def test_outcomes_and_durations_are_measured(collected: Collected) -> None:
    for end in (complete, complete, fail):
        metadata = task()
        in_task(start, metadata)
        end(metadata)
    in_task(start, task())
    counted = {labels: point.value for labels, point in collected.points("pgflow.task.attempts").items()}
    assert counted == {("shop", "pay", "completed"): 2, ("shop", "pay", "failed"): 1}
    assert collected.points("pgflow.task.active")["shop", "pay"].value == 1
    duration = collected.points("pgflow.task.duration")["shop", "pay", "completed"]
    assert (duration.sum, duration.count) == (0.5, 2)
    assert 0.25 in duration.explicit_bounds
