"""Calls that concern definitions."""

from __future__ import annotations

from collections.abc import Sequence

from pgflow.calls.call import Call, Row
from pgflow.serialize import decode


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


def _compile_result(rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    result = decode(rows[0][0])
    return result["status"], tuple(result["differences"])
