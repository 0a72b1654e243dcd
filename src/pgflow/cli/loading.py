"""From `module:attribute` to flows."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Application:
    """What `module:attribute` leads to: flows, and where a PgFlow object wants to work them."""

    flows: tuple[Flow, ...]
    url: str | None = None
    listen_url: str | None = None
    executors: Mapping[str, Executor] = field(default_factory=dict)

    def at(self, url: str | None, slugs: Iterable[str] = ()) -> async_app.PgFlow:
        """Return an application object for the flows of these slugs (default: all); `url` comes before its own."""
        return async_app.PgFlow(
            url or self.url,
            flows=only_named(self.flows, slugs),
            listen_url=None if url else self.listen_url,
            executors=self.executors,
        )


def load_application(reference: str) -> Application:
    """Import what `module:attribute` names. Raises what :func:`load_flows` does."""
    found = _find(reference)
    flows = _flows_found(found, reference)
    if isinstance(found, async_app.PgFlow | sync.PgFlow):
        return Application(flows, found.database.given_url, found.database.listen_url, found.executors)
    return Application(flows)


def load_flows(reference: str) -> tuple[Flow, ...]:
    """Import what `module:attribute` names and return its flows.

    Raises PgFlowError that says what is wrong with the reference, or what the module's import ran into.
    """
    return _flows_found(_find(reference), reference)


def _find(reference: str) -> object:
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise PgFlowError(f"{reference!r} is not module:attribute; write for example `app:app` for `app` in app.py")
    return _attribute(_import(module_name), module_name, attribute)


def _flows_found(found: object, reference: str) -> tuple[Flow, ...]:
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
            hint = _spelling(module_name) or "run this where it is"
            raise PgFlowError(f"no module {module_name!r} here or on the Python path; {hint}") from error
        missing = f"{error}; install it where pgflow is, or correct the name"
        raise PgFlowError(f"{_last_place(error, module_name)}{missing}") from error
    except DefinitionError as error:
        raise PgFlowError(f"{_last_place(error, module_name)}{error}") from error
    except PgFlowError:
        raise
    except SyntaxError as error:
        raise PgFlowError(f"{_place(error.filename, error.lineno)}: {type(error).__name__}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise PgFlowError(f"{_last_place(error, module_name)}{type(error).__name__}: {error}") from error


def _spelling(module_name: str) -> str | None:
    """Return a hint for the name of a file in place of a module's."""
    spelled = module_name.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
    return None if spelled == module_name else f"modules are named without .py and with dots: `{spelled}:app`"


def _last_place(error: BaseException, module_name: str) -> str:
    """Return `file:line: ` of the user's last line that an import went through, or which import it was."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(Path(frame.filename))]
    return f"{_place(ours[-1].filename, ours[-1].lineno)}: " if ours else f"importing {module_name!r} failed: "


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(Path.cwd()) and not path.is_relative_to(sys.prefix)


def _place(name: str | None, line: int | None) -> str:
    path = Path(name or "?")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{line}"


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
