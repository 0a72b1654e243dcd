"""A flow's graph as a value: built, checked, compared, drawn and written as SQL, without any input or output."""

from pgflow.graph.differences import differences, jsonb_text, option_differences
from pgflow.graph.drawing import dot, mermaid, text
from pgflow.graph.elixir import to_elixir
from pgflow.graph.outline import outline
from pgflow.graph.problems import (
    FLOW_SLUG_LIMIT,
    flow_problems,
    is_valid_slug,
    known_steps,
    option_problem,
    pattern_problem,
    problems,
    slug_problem,
    step_problems,
)
from pgflow.graph.shape import (
    FlowShape,
    FlowType,
    Pattern,
    StepShape,
    StepType,
    WhenExhausted,
    WhenUnmet,
    to_json,
)
from pgflow.graph.statements import to_sql
from pgflow.graph.stored import FlowDefinition, from_row
from pgflow.graph.typescript import to_typescript, typescript_problems

__all__ = [
    "FLOW_SLUG_LIMIT",
    "FlowDefinition",
    "FlowShape",
    "FlowType",
    "Pattern",
    "StepShape",
    "StepType",
    "WhenExhausted",
    "WhenUnmet",
    "differences",
    "dot",
    "flow_problems",
    "from_row",
    "is_valid_slug",
    "jsonb_text",
    "known_steps",
    "mermaid",
    "option_differences",
    "option_problem",
    "outline",
    "pattern_problem",
    "problems",
    "slug_problem",
    "step_problems",
    "text",
    "to_elixir",
    "to_json",
    "to_sql",
    "to_typescript",
    "typescript_problems",
]
