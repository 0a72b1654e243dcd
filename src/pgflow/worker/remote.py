"""Attempts that run in other processes: what is sent there and back, as JSON, and what the other side does with it."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from pgflow.binding import Binding, bind
from pgflow.flow import Step
from pgflow.handlers import Handler, function_of, import_path
from pgflow.serialize import decode
from pgflow.types import Json, StartedTask
from pgflow.worker.context import Context
from pgflow.worker.outcome import Completed, Failed, Outcome, Released, failed
from pgflow.worker.work import Work

_MAIN: Final = "__mp_main__"
"""The name of a program in other processes, as with multiprocessing: `if __name__ == "__main__"` isn't true there."""


def request(step: Step, task: StartedTask, flow_input: Json, deadline: datetime, *, with_main: bool) -> bytes:
    """Return what :func:`run` takes.

    `with_main` says how to import the program that runs now, for a process that isn't made from it.
    """
    sent = {
        "handler": import_path(step.handler),
        "main": _main_program() if with_main and step.handler.__module__ == "__main__" else None,
        "step_type": step.shape.step_type,
        "dependencies": step.binding.dependencies,
        "flow_input": flow_input,
        "task": asdict(task) | {"flow_input": None},
        "deadline": deadline,
    }
    return to_json(sent, inf_nan_mode="constants")


def run(request: bytes, is_stopping: Callable[[], bool] | None = None) -> bytes:
    """Do what a request says, in this process, and return the answer for :func:`outcome`. Raises nothing."""
    try:
        return _answer(_perform(decode(request), is_stopping or _never))
    except Exception as error:  # the handler can't be imported, for example
        return _answer(failed(error))


def outcome(answer: bytes) -> Outcome:
    """Return what became of an attempt."""
    kind, body = answer[:1], answer[1:]
    match kind:
        case b"C":
            return Completed(body)
        case b"F":
            return Failed(**decode(body))
        case b"R":
            return Released(**decode(body))
    raise ValueError(f"no answer of a handler: {answer[:40]!r}")


def _answer(outcome: Outcome) -> bytes:
    match outcome:
        case Completed(output):
            return b"C" + output
        case Failed():
            return b"F" + to_json(asdict(outcome))
        case Released():
            return b"R" + to_json(asdict(outcome))


def _perform(sent: dict[str, Any], is_stopping: Callable[[], bool]) -> Outcome:
    task = StartedTask(**(sent["task"] | {"run_id": UUID(sent["task"]["run_id"])}))
    binding = _binding(sent["handler"], sent["main"], task.step_slug, sent["step_type"], tuple(sent["dependencies"]))
    context = Context(task, deadline=datetime.fromisoformat(sent["deadline"]), is_stopping=is_stopping)
    return Work(binding, task.input, sent["flow_input"], context).perform()


@cache
def _binding(path: str, main: str | None, step_slug: str, step_type: Any, dependencies: tuple[str, ...]) -> Binding:
    handler = _import_handler(path, main)
    return bind(handler, step_slug=step_slug, step_type=step_type, known=dependencies, depends_on=dependencies)


def _import_handler(path: str, main: str | None) -> Handler:
    module_name, _, qualified_name = path.partition(":")
    found: Any = _import_main(main) if main else importlib.import_module(module_name)
    try:
        for name in qualified_name.split("."):
            found = getattr(found, name)
    except AttributeError:
        text = f"the process that runs this step has no {path}; put its handler into a module that it can import"
        raise LookupError(text) from None
    handler: Handler = function_of(found)
    return handler


def _main_program() -> str:
    """Return how other processes import the program that runs: `module:NAME` or `file:PATH`."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return f"module:{spec.name}" if spec is not None else f"file:{main.__file__}"


@cache
def _import_main(main: str) -> ModuleType:
    kind, _, name = main.partition(":")
    module = ModuleType(_MAIN)
    load = runpy.run_module if kind == "module" else runpy.run_path
    module.__dict__.update(load(name, run_name=_MAIN))
    sys.modules[_MAIN] = module
    return module


def _never() -> bool:
    return False
