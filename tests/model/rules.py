"""What the model decides by looking only: inputs, conditions, types."""

from __future__ import annotations

from collections.abc import Sequence

from model.definition import Flow, Step
from model.records import Refused, Run
from model.values import SQL_NULL, Json, Value, as_json, contains, type_name


def check_inputs(flow: Flow, inputs: Sequence[Value]) -> None:
    for value in inputs:
        if flow.has_root_map() and value is SQL_NULL:
            raise Refused("P0001", f"Flow {flow.slug} has root map steps but input is NULL")
        if flow.has_root_map() and not isinstance(value, list):
            kind = f"(got {type_name(value)})"
            raise Refused("P0001", f"Flow {flow.slug} has root map steps but input is not an array {kind}")
    if SQL_NULL in [value for value in inputs if not isinstance(value, (list, dict))]:
        raise Refused("23502", 'null value in column "input"')


def initial_tasks(step: Step, value: Json) -> int | None:
    if not step.is_map:
        return 1
    return None if step.parents else len(value)


def task_input(run: Run, step: Step, index: int) -> Json:
    if not step.is_map:
        return outputs_of_parents(run, step)
    return (as_json(run.states[step.parents[0]].output) if step.parents else run.input)[index]


def outputs_of_parents(run: Run, step: Step) -> dict[str, Json]:
    parents = {slug: run.states[slug] for slug in step.parents}
    return {slug: as_json(parent.output) for slug, parent in parents.items() if parent.status == "completed"}


def unmet(run: Run, mode: str) -> list[str]:
    steps = [run.flow.step(slug) for slug in run.ready()]
    return [step.slug for step in steps if step.when_unmet == mode and not is_met(run, step)]


def is_met(run: Run, step: Step) -> bool:
    document = outputs_of_parents(run, step) if step.parents else run.input
    is_required = step.required is None or contains(document, step.required)
    return is_required and not (step.forbidden is not None and contains(document, step.forbidden))


def waiting_maps(run: Run, slug: str) -> list[str]:
    children = run.flow.children(slug)
    return [step.slug for step in children if step.is_map and run.states[step.slug].initial_tasks is None]


def known(value: int | None) -> int:
    """Take a number that must be there."""
    assert value is not None
    return value
