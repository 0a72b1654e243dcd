"""What is made of what workers tell: records of the log, and spans."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest

from pgflow import Flow, PgFlow
from worker.running import worked


@pytest.mark.feature("A4.10")
async def test_a_failure_is_logged_once_with_its_traceback(app: PgFlow, caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow("logged", max_attempts=2, base_delay=0)

    @flow.step
    def step(value: str) -> None:
        raise ValueError("no money")

    with caplog.at_level(logging.INFO, "pgflow"):
        run = await worked(app, flow, "input of the run")
    name = f"[logged.step[0] {run.run_id}]"
    failures = [
        record for record in caplog.records if "no money" in record.getMessage() and record.name == "pgflow.task"
    ]
    assert [record.getMessage() for record in failures] == [
        f"{name} failed, attempt 1 of 2, the next in 0 s: ValueError: no money",
        f"{name} failed, attempt 2 of 2, no other follows: ValueError: no money",
    ]
    assert all('raise ValueError("no money")' in (record.exc_text or "") for record in failures)
    assert [record.levelno for record in caplog.records if record.name == "pgflow.run"] == [logging.ERROR]
    assert "input of the run" not in caplog.text


def spans_by_name(spans: Any) -> dict[str, Any]:
    return {span.name: span for span in spans}


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_spans_made_by_handlers_are_within_those_of_their_tasks(app: PgFlow, kind: str) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from pgflow.integrations import otel

    exported = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracer = provider.get_tracer("test")
    flow = Flow(f"spans_{kind}")

    def work(value: int) -> int:
        with tracer.start_as_current_span("query"):
            return value

    if kind == "async":

        @flow.step
        async def step(value: int) -> int:
            return work(value)
    else:

        @flow.step(slug="step")
        def step_in_thread(value: int) -> int:
            return work(value)

    otel.instrument(provider)
    try:
        run = await worked(app, flow, 1)
    finally:
        otel.uninstrument()
    spans = spans_by_name(exported.get_finished_spans())
    assert set(spans) == {"query", f"{flow.slug}.step", flow.slug}
    assert spans["query"].parent.span_id == spans[f"{flow.slug}.step"].context.span_id
    assert {span.context.trace_id for span in spans.values()} == {otel.trace_of(run.run_id).trace_id}
    assert isinstance(run.run_id, UUID)
