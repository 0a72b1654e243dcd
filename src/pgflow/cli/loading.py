"""From `module:attribute` to flows."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pgflow import app as async_app
from pgflow import sync
from pgflow.errors import DefinitionError, FlowNotFound, PgFlowError
from pgflow.flow import Flow

AppArgument = Annotated[
    str,
    typer.Argument(
        metavar="APP", help="Where the flows are: module:attribute, a PgFlow object, a Flow, or a list of flows."
    ),
]


def load_flows(reference: str) -> tuple[Flow, ...]:
    """Import what `module:attribute` names and return its flows.

    Raises PgFlowError that says what is wrong with the reference, or what the module's import ran into.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise PgFlowError(f"{reference!r} is not module:attribute; write for example `app:app` for `app` in app.py")
    found = _attribute(_import(module_name), module_name, attribute)
    flows = _flows_of(found)
    if flows is None:
        raise PgFlowError(
            f"{reference} is a {type(found).__name__}; it must be a PgFlow object, a Flow, or a list of flows"
        )
    if not flows:
        raise DefinitionError(f"{reference} has no flows; pass them as PgFlow(flows=[…], jobs=[…])")
    return _without_namesakes(flows)


def only_named(flows: Iterable[Flow], slugs: Iterable[str]) -> tuple[Flow, ...]:
    """Return the flows of these slugs, or all when no slug is given. Raises FlowNotFound for an unknown slug."""
    by_slug = {flow.slug: flow for flow in flows}
    wanted = list(slugs) or list(by_slug)
    for slug in wanted:
        if slug not in by_slug:
            raise PgFlowError(f"no flow {slug!r} in the application; flows: {', '.join(by_slug)}") from FlowNotFound(
                slug
            )
    return tuple(by_slug[slug] for slug in wanted)


def _without_namesakes(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    by_slug: dict[str, Flow] = {}
    for flow in flows:
        if by_slug.setdefault(flow.slug, flow) is not flow:
            raise DefinitionError(f"two flows are called {flow.slug!r}")
    return tuple(by_slug.values())


def _import(module_name: str) -> object:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise PgFlowError(f"no module {module_name!r} here or on the Python path; run this where it is") from error
        raise PgFlowError(f"importing {module_name!r} failed: {error}") from error
    except PgFlowError:
        raise
    except (Exception, SystemExit) as error:
        raise PgFlowError(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from error


def _attribute(module: object, module_name: str, attribute: str) -> object:
    found = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            candidates = [key for key, value in vars(module).items() if _flows_of(value) is not None]
            hint = f"; it has {', '.join(sorted(candidates))}" if candidates else ""
            raise PgFlowError(f"module {module_name!r} has no attribute {attribute!r}{hint}")
        found = getattr(found, name)
    return found


def _flows_of(found: object) -> tuple[Flow, ...] | None:
    match found:
        case Flow():
            return (found,)
        case async_app.PgFlow() | sync.PgFlow():
            return found.flows
        case list() | tuple() if found and all(isinstance(item, Flow) for item in found):
            return tuple(found)
        case _:
            return None
