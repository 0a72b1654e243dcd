"""Metrics for Prometheus, from the events of this process.

::

    from pgflow.integrations import prometheus

    prometheus.instrument()                        # before workers start
    ...
    prometheus_client.start_http_server(9000)      # or show prometheus_client.generate_latest() yourself

Needs `pip install "pgflow-py[prometheus]"`. The metrics are those of :data:`pgflow.integrations.metrics.METRICS` with
underscores for dots: `pgflow_task_attempts_total`, `pgflow_task_duration_seconds`, ….
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from pgflow import telemetry
from pgflow.integrations.metrics import METRICS, OBSERVED, SECONDS, Metric, measure

_NAME = "pgflow.prometheus"

_Instrument: TypeAlias = Counter | Gauge | Histogram


def instrument(registry: CollectorRegistry = REGISTRY) -> None:
    """Count in a registry from now on, for the rest of the process.

    Raises ValueError if that is done already, or if something else in the registry has one of the names.
    """
    instruments = {metric: _instrument(metric) for metric in METRICS}

    def count(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        for metric, value, labels in measure(event, measurements, metadata):
            instrument = instruments[metric].labels(*labels)
            if isinstance(instrument, Histogram):
                instrument.observe(value)
            else:
                instrument.inc(value)

    telemetry.attach(_NAME, OBSERVED, count)
    try:
        for each in instruments.values():
            registry.register(each)
    except ValueError:
        telemetry.detach(_NAME)
        raise


def uninstrument() -> bool:
    """Count no more; what was counted stays in the registry. Returns whether something was counted."""
    return telemetry.detach(_NAME)


def _instrument(metric: Metric) -> _Instrument:
    name, text, labels = metric.prometheus_name, metric.description, metric.labels
    match metric.kind:
        case "counter":
            return Counter(name, text, labels, registry=None)
        case "level":
            return Gauge(name, text, labels, registry=None)
        case "histogram":
            return Histogram(name, text, labels, registry=None, buckets=SECONDS)
