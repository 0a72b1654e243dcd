"""Calls that define flows and look at definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pgflow import graph
from pgflow.calls.call import Call, Row, first_value, nothing
from pgflow.graph import FlowDefinition, FlowType, StepType, WhenExhausted, WhenUnmet
from pgflow.serialize import decode
from pgflow.types import Json


def ensure_flow_compiled(
    flow_slug: str, shape: bytes, *, allow_data_loss: bool = False
) -> Call[tuple[str, tuple[str, ...]]]:
    """Register a flow or compare it: `pgflow.ensure_flow_compiled`. Gives the status and the differences."""
    return Call(
        "select pgflow.ensure_flow_compiled(%s, %s::jsonb, %s)::text",
        (flow_slug, shape.decode(), allow_data_loss),
        _compile_result,
    )


def compare_flow(flow_slug: str, shape: bytes) -> Call[tuple[str, tuple[str, ...]]]:
    """Compare a flow with the one registered: `pgflow.compare_flow`. Gives the status and the differences."""
    return Call("select pgflow.compare_flow(%s, %s::jsonb)::text", (flow_slug, shape.decode()), _compile_result)


def upsert_flow(
    flow_slug: str, shape: bytes, on_conflict: Literal["recreate", "if_changed", "error"] = "recreate"
) -> Call[tuple[str, tuple[str, ...]]]:
    """Register a flow in place of the one there is: `pgflow.upsert_flow`. Gives the status and the differences."""
    return Call(
        "select pgflow.upsert_flow(%s, %s::jsonb, %s)::text", (flow_slug, shape.decode(), on_conflict), _compile_result
    )


def create_flow(
    flow_slug: str, max_attempts: int | None = None, base_delay: int | None = None, timeout: int | None = None
) -> Call[dict[str, Json]]:
    """Register a flow without steps: `pgflow.create_flow`. Gives its row."""
    return Call(
        "select to_jsonb(pgflow.create_flow(%s, %s, %s, %s))::text",
        (flow_slug, max_attempts, base_delay, timeout),
        _row,
    )


def add_step(
    flow_slug: str,
    step_slug: str,
    deps_slugs: Sequence[str] = (),
    *,
    max_attempts: int | None = None,
    base_delay: int | None = None,
    timeout: int | None = None,
    start_delay: int | None = None,
    step_type: StepType = "single",
    required_input_pattern: bytes | None = None,
    forbidden_input_pattern: bytes | None = None,
    when_unmet: WhenUnmet = "skip",
    when_exhausted: WhenExhausted = "fail",
) -> Call[dict[str, Json]]:
    """Add a step behind those already there: `pgflow.add_step`. Gives its row."""
    return Call(
        "select to_jsonb(pgflow.add_step(%s, %s, %s::text[], %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s))::text",
        (
            flow_slug,
            step_slug,
            list(deps_slugs),
            max_attempts,
            base_delay,
            timeout,
            start_delay,
            step_type,
            None if required_input_pattern is None else required_input_pattern.decode(),
            None if forbidden_input_pattern is None else forbidden_input_pattern.decode(),
            when_unmet,
            when_exhausted,
        ),
        _row,
    )


def list_flows(flow_slugs: Sequence[str] | None = None) -> Call[list[FlowDefinition]]:
    """Read definitions: `pgflow.list_flows`. Gives them by slug; all of them if none is named."""
    return Call(
        "select found::text from pgflow.list_flows(%s) as found",
        (None if flow_slugs is None else list(flow_slugs),),
        lambda rows: [graph.from_row(decode(row[0])) for row in rows],
    )


def set_flow_type(flow_slug: str, flow_type: FlowType) -> Call[None]:
    """Say whether a flow is a flow or a job: `pgflow.set_flow_type`."""
    return Call("select pgflow.set_flow_type(%s, %s)", (flow_slug, flow_type), nothing)


def flow_exists(flow_slug: str) -> Call[bool]:
    """Ask whether a flow is registered: `pgflow.flow_exists`."""
    return Call("select pgflow.flow_exists(%s)", (flow_slug,), first_value)


def delete_flow_and_data(flow_slug: str) -> Call[None]:
    """Delete a flow with its runs and its queue: `pgflow.delete_flow_and_data`."""
    return Call("select pgflow.delete_flow_and_data(%s)", (flow_slug,), nothing)


def is_valid_slug(slug: str) -> Call[bool]:
    """Ask whether a slug follows the rules: `pgflow.is_valid_slug`."""
    return Call("select pgflow.is_valid_slug(%s)", (slug,), first_value)


def _compile_result(rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    result = decode(rows[0][0])
    return result["status"], tuple(result["differences"])


def _row(rows: Sequence[Row]) -> dict[str, Json]:
    found: dict[str, Json] = decode(rows[0][0])
    return found
