"""Definitions as the database has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pgflow.graph.shape import FlowShape, StepShape
from pgflow.types import Json


@dataclass(frozen=True, slots=True)
class FlowDefinition(FlowShape):
    """A flow in the database: its steps, its options, and when it was registered."""

    created_at: datetime | None = None


def from_row(row: Mapping[str, Json]) -> FlowDefinition:
    """Return the definition in a row of `pgflow.list_flows`."""
    return FlowDefinition(
        row["flow_slug"],
        tuple(_step(step) for step in row["steps"]),
        row["opt_max_attempts"],
        row["opt_base_delay"],
        row["opt_timeout"],
        row["flow_type"],
        datetime.fromisoformat(row["created_at"]),
    )


def _step(row: Mapping[str, Json]) -> StepShape:
    has_condition = row["required_input_pattern"] is not None or row["forbidden_input_pattern"] is not None
    return StepShape(
        row["step_slug"],
        row["step_type"],
        tuple(row["dependencies"]),
        max_attempts=row["opt_max_attempts"],
        base_delay=row["opt_base_delay"],
        timeout=row["opt_timeout"],
        start_delay=row["opt_start_delay"],
        required_input_pattern=row["required_input_pattern"],
        forbidden_input_pattern=row["forbidden_input_pattern"],
        when_unmet=row["when_unmet"] if has_condition else None,
        when_exhausted=row["when_exhausted"],
    )
