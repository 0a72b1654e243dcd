"""Traces and metrics for OpenTelemetry, from the events of this process.

::

    from pgflow.integrations import otel

    otel.instrument()                              # before workers start

Needs `pip install "pgflow-py[otel]"`, and an SDK with exporters as any instrumentation does.

Every run is a trace of its own. Its id follows from the run's, so that workers of several processes write into the same
trace and nothing has to be stored: :func:`trace_of` tells it. Each attempt at a task is a span, which spans made in the
handler become children of; the run itself is a span when it has ended, written by whoever ended it. The span in which a
run is started gets a link to the run's trace.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

from opentelemetry import context, metrics, trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from pgflow import telemetry
from pgflow.integrations.metrics import METRICS, OBSERVED, SECONDS, Metric, measure

_TRACES = "pgflow.otel.traces"
_METRICS = "pgflow.otel.metrics"
_SCOPE = "pgflow"
_NANOSECONDS = 1_000_000_000

_Attempt: TypeAlias = tuple[UUID, str, int, int]


def instrument(
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    *,
    sample_ratio: float = 1.0,
) -> None:
    """Write spans and count from now on, for the rest of the process.

    Providers are the global ones by default. `sample_ratio`, from 0 to 1, is the share of runs whose traces ask to be
    recorded, the same runs in all workers; a sampler of the provider that follows parents, as the default does, obeys.
    Raises ValueError for another ratio, or if it is done already.
    """
    if not 0 <= sample_ratio <= 1:
        raise ValueError(f"sample_ratio is from 0 to 1, not {sample_ratio}")
    spans = _Spans(trace.get_tracer(_SCOPE, tracer_provider=tracer_provider), sample_ratio)
    events = ["task.start", "task.stop", "task.exception", "task.discarded"]
    telemetry.attach(_TRACES, [*events, "run.started", "run.completed", "run.failed"], spans, payloads=True)
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
    record = {metric: _recorder(meter, metric) for metric in METRICS}

    def count(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        for metric, value, labels in measure(event, measurements, metadata):
            record[metric](value, _attributes(dict(zip(metric.labels, labels, strict=True))))

    telemetry.attach(_METRICS, OBSERVED, count)


def uninstrument() -> bool:
    """Write no more spans and count no more. Returns whether it was done."""
    return telemetry.detach(_METRICS) | telemetry.detach(_TRACES)


def trace_of(run_id: UUID, *, sample_ratio: float = 1.0) -> SpanContext:
    """Return the trace of a run, and in it the span that its spans are children of."""
    digest = hashlib.sha256(run_id.bytes).digest()
    trace_id, span_id = int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
    is_sampled = trace_id & (2**64 - 1) < sample_ratio * 2**64
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


class _Spans:
    """The handler that turns events into spans."""

    def __init__(self, tracer: trace.Tracer, sample_ratio: float) -> None:
        self._tracer = tracer
        self._sample_ratio = sample_ratio
        self._open: dict[_Attempt, tuple[Span, int]] = {}

    def __call__(self, event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        match event:
            case "task.start":
                self._start_attempt(int(measurements["system_time"] * _NANOSECONDS), metadata)
            case "task.stop" | "task.exception" | "task.discarded":
                self._end_attempt(measurements["duration"], metadata)
            case "run.started":
                self._link_run(metadata)
            case "run.completed" | "run.failed":
                self._write_run(measurements["duration"], metadata)

    def _start_attempt(self, start: int, metadata: Mapping[str, Any]) -> None:
        name = f"{metadata['flow_slug']}.{metadata['step_slug']}"
        span = self._start(name, SpanKind.CONSUMER, start, metadata)
        self._open[_attempt(metadata)] = span, start
        context.attach(trace.set_span_in_context(span))  # ends with the context of the task, which the event comes from

    def _end_attempt(self, duration: float, metadata: Mapping[str, Any]) -> None:
        try:
            span, start = self._open.pop(_attempt(metadata))
        except KeyError:  # it began before this was attached
            return
        if "reason" in metadata:
            span.set_attribute("pgflow.discarded", metadata["reason"])
        _end(span, start + int(duration * _NANOSECONDS), metadata)

    def _link_run(self, metadata: Mapping[str, Any]) -> None:
        current = trace.get_current_span()
        if current.is_recording():
            current.add_link(trace_of(metadata["run_id"], sample_ratio=self._sample_ratio), _attributes(metadata))

    def _write_run(self, duration: float, metadata: Mapping[str, Any]) -> None:
        end = time.time_ns()
        start = end - int(duration * _NANOSECONDS)
        _end(self._start(metadata["flow_slug"], SpanKind.INTERNAL, start, metadata), end, metadata)

    def _start(self, name: str, kind: SpanKind, start: int, metadata: Mapping[str, Any]) -> Span:
        parent = NonRecordingSpan(trace_of(metadata["run_id"], sample_ratio=self._sample_ratio))
        above = trace.set_span_in_context(parent, context.Context())
        return self._tracer.start_span(name, above, kind, _attributes(metadata), start_time=start)


def _end(span: Span, end: int, metadata: Mapping[str, Any]) -> None:
    if error := metadata.get("error"):
        kind, _, message = error.partition(": ")
        details = {"exception.type": kind, "exception.message": message}
        if traceback := metadata.get("traceback"):
            details["exception.stacktrace"] = traceback
        span.add_event("exception", details, end)
        span.set_status(StatusCode.ERROR, error)
    span.end(end)


def _attempt(metadata: Mapping[str, Any]) -> _Attempt:
    return metadata["run_id"], metadata["step_slug"], metadata["task_index"], metadata["attempt"]


_DESCRIBED = ("flow_slug", "run_id", "step_slug", "task_index", "attempt", "max_attempts", "worker_id", "outcome")


def _attributes(fields: Mapping[str, Any]) -> dict[str, str | int]:
    """Return fields as attributes: `pgflow.run_id` and the like."""
    described = {key: fields[key] for key in (*_DESCRIBED, "skip_reason") if key in fields}
    return {f"pgflow.{key}": str(value) if isinstance(value, UUID) else value for key, value in described.items()}


def _recorder(meter: metrics.Meter, metric: Metric) -> Callable[[float, dict[str, str | int]], None]:
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, f"{{{metric.unit}}}", metric.description).add
        case "level":
            return meter.create_up_down_counter(metric.name, f"{{{metric.unit}}}", metric.description).add
        case "histogram":
            return meter.create_histogram(
                metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=SECONDS
            ).record
