"""A flow's graph as a value: built, checked, compared, drawn and written as SQL, without any input or output."""

from pgflow.graph.differences import differences
from pgflow.graph.drawing import dot, mermaid, text
from pgflow.graph.problems import flow_problems, is_valid_slug, known_steps, problems, step_problems
from pgflow.graph.shape import FlowShape, Pattern, StepShape, StepType, WhenExhausted, WhenUnmet, levels, to_json
from pgflow.graph.statements import to_sql

__all__ = [
    "FlowShape",
    "Pattern",
    "StepShape",
    "StepType",
    "WhenExhausted",
    "WhenUnmet",
    "differences",
    "dot",
    "flow_problems",
    "is_valid_slug",
    "known_steps",
    "levels",
    "mermaid",
    "problems",
    "step_problems",
    "text",
    "to_json",
    "to_sql",
]
