"""Registering flows on the reference's schema, step by step, and comparing them."""

from __future__ import annotations

from collections.abc import Mapping

from pgflow import graph
from pgflow.calls import Call, create_flow, list_flows
from pgflow.errors import SchemaError
from pgflow.reference.inline import Argument
from pgflow.reference.steps import Arguments, Known, Steps
from pgflow.serialize import decode
from pgflow.types import Json


def compare_flow(_known: Known, arguments: Arguments) -> Steps[tuple[str, tuple[str, ...]]]:
    """Compare a flow with the one registered."""
    flow_slug, shape = arguments[0].value, decode(arguments[1].value)
    return (yield from _compare(flow_slug, shape))


def ensure_flow_compiled(known: Known, arguments: Arguments) -> Steps[tuple[str, tuple[str, ...]]]:
    """Register a flow step by step, or compare it."""
    flow_slug, shape, allow_data_loss = arguments[0].value, decode(arguments[1].value), arguments[2].value
    yield Call("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"pgflow {flow_slug}",), list)
    status, differences = yield from _compare(flow_slug, shape)
    if status == "mismatch" and allow_data_loss:
        raise _cannot_delete(flow_slug)
    if status == "missing":
        yield from _register(known, flow_slug, shape)
        return "compiled", ()
    return status, differences


def upsert_flow(known: Known, arguments: Arguments) -> Steps[tuple[str, tuple[str, ...]]]:
    """Register a flow that isn't there; one that is can only be kept."""
    flow_slug, on_conflict = arguments[0].value, arguments[2].value
    no_loss = Argument("%s", (False,))
    status, differences = yield from ensure_flow_compiled(known, (*arguments[:2], no_loss))
    if on_conflict != "error" and (status == "mismatch" or (status == "verified" and on_conflict == "recreate")):
        raise _cannot_delete(flow_slug)
    return status, differences


def set_flow_type(_known: Known, _arguments: Arguments) -> Steps[None]:
    """Say nothing: these cores don't tell jobs from flows."""
    yield from ()


def _compare(flow_slug: str, shape: Mapping[str, Json]) -> Steps[tuple[str, tuple[str, ...]]]:
    registered = yield list_flows([flow_slug])
    if not registered:
        return "missing", ()
    found = tuple(graph.differences(shape, registered[0]))
    return ("mismatch" if found else "verified"), found


def _register(known: Known, flow_slug: str, shape: Mapping[str, Json]) -> Steps[None]:
    """Create a flow and its steps. Options that weren't given are left to the core, except the flow's."""
    options = shape["options"]
    for step in shape["steps"]:
        _require_conditions(known, flow_slug, step)
    yield create_flow(flow_slug, options["maxAttempts"], options["baseDelay"], options["timeout"])
    for step in shape["steps"]:
        yield _add_step(flow_slug, step)


def _add_step(flow_slug: str, step: Mapping[str, Json]) -> Call[None]:
    options = step["options"]
    names = ("maxAttempts", "baseDelay", "timeout", "startDelay")
    values = (flow_slug, step["slug"], list(step["dependencies"]), *map(options.get, names), step["stepType"])
    statement = "select from pgflow.add_step(%s, %s, %s::text[], %s::int, %s::int, %s::int, %s::int, %s)"
    if (conditions := _conditions(step)) is None:
        return Call(statement, values, lambda _: None)
    return Call(f"{statement[:-1]}, %s::jsonb, %s::jsonb, %s, %s)", (*values, *conditions), lambda _: None)


def _conditions(step: Mapping[str, Json]) -> tuple[Json, ...] | None:
    """Return what a step has that cores before 0.14 don't know, None if it has nothing of that."""
    patterns = [step[key] for key in ("requiredInputPattern", "forbiddenInputPattern")]
    words = step["whenUnmet"], step["whenExhausted"]
    if words == ("skip", "fail") and not any(pattern["defined"] for pattern in patterns):
        return None
    return (*(graph.jsonb_text(each["value"]) if each["defined"] else None for each in patterns), *words)


def _require_conditions(known: Known, flow_slug: str, step: Mapping[str, Json]) -> None:
    if "steps.when_unmet" not in known and _conditions(step) is not None:
        raise SchemaError(
            f"step {step['slug']!r} of flow {flow_slug!r} has conditions or when_exhausted, which the schema pgflow of "
            "this database can't have: it was made by the reference's migrations before 0.14.0; leave them out, or use "
            "a database with `pgflow migrate`"
        )


def _cannot_delete(flow_slug: str) -> SchemaError:
    return SchemaError(
        f"flow {flow_slug!r} is registered, and this database, whose schema pgflow was made by the reference's "
        "migrations, has no function that deletes it; give the changed flow a new slug"
    )
