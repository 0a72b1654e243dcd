"""A call of a function that the database may not have: as a call where it has, else as the function's statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pgflow.calls import Call
from pgflow.errors import SchemaError
from pgflow.reference.sources import Function, split_arguments

T = TypeVar("T")

_DESCRIBED = re.compile(r"\bpgflow\.describe_run\(")  # adds what only our own schema has
_ALIAS = re.compile(r" as (\w+)")
_CALLED = re.compile(r"\bpgflow\.(\w+)\(")


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function in a statement: the SQL expression and what its placeholders stand for."""

    expression: str
    values: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """The value, of an argument that is nothing else."""
        [value] = self.values
        return value

    @property
    def is_given(self) -> bool:
        """Whether it says anything: neither NULL nor empty."""
        return any(value is not None and value != [] for value in self.values)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function's name and arguments as a call has them, and the statement around them."""

    name: str
    arguments: tuple[Argument, ...]
    before: str
    after: str


def invocation(call: Call[Any]) -> Invocation | None:
    """Return the first function of schema `pgflow` that a call invokes, None if there is none."""
    text = _DESCRIBED.sub("to_jsonb(", call.sql)
    found = _CALLED.search(text)
    if found is None:
        return None
    end = _closing(text, found.end())
    before, inside, after = text[: found.start()], text[found.end() : end], text[end + 1 :]
    values = iter(call.arguments[before.count("%s") :])
    arguments = tuple(
        Argument(text, tuple(next(values) for _ in range(text.count("%s")))) for text in split_arguments(inside)
    )
    return Invocation(found[1], arguments, before, after)


def rewritten(call: Call[T], said: Invocation, function: Function, *, is_installed: bool) -> Call[T]:
    """Return the call with the function as this schema has it, and only as many arguments as it takes there.

    Raises SchemaError if one of the others says something.
    """
    arguments = _fitting(said, function)
    if is_installed:
        inside = ", ".join(argument.expression for argument in arguments)
        text, values = f"pgflow.{function.name}({inside})", [value for each in arguments for value in each.values]
    else:
        text, values = _statement(function, arguments)
        if function.changes_rows:
            return Call(text, tuple(values), call.decode)
        text = f"({text}\n)"
    after = said.after
    if not is_installed and said.before.endswith("from "):
        after = _named(after, function)
    first, last = said.before.count("%s"), after.count("%s")
    others = call.arguments
    around = others[:first], others[len(others) - last :] if last else ()
    return Call(f"{said.before}{text}{after}", (*around[0], *values, *around[1]), call.decode)


def _named(after: str, function: Function) -> str:
    """Return what follows a call in FROM so that it fits a query there, whose columns have names as those of a call."""
    found = _ALIAS.match(after)
    name, rest = (found[1], after[found.end() :]) if found else ("answer", after)
    columns = function.columns or ([name] if function.returns.startswith("setof jsonb") else [])
    listed = f" ({', '.join(columns)})" if columns else ""
    return f" as {name}{listed}{rest}"


def _fitting(said: Invocation, function: Function) -> Sequence[Argument]:
    count = len(function.parameters)
    if any(argument.is_given for argument in said.arguments[count:]):
        raise SchemaError(
            f"pgflow.{said.name} takes fewer arguments in this database, whose schema pgflow was made by the "
            "reference's migrations; leave out what that core doesn't know, or use a database with `pgflow migrate`"
        )
    return said.arguments[:count]


def _statement(function: Function, arguments: Sequence[Argument]) -> tuple[str, list[Any]]:
    """Return the body of a function with arguments in place of its parameters."""
    given = {parameter.name: argument for parameter, argument in zip(function.parameters, arguments, strict=False)}
    of_name = {parameter.name: parameter for parameter in function.parameters}
    values: list[Any] = []

    def replace(found: re.Match[str]) -> str:
        parameter = of_name.get(found[0])
        if parameter is None:
            return found[0]
        argument = given.get(parameter.name)
        if argument is None:
            return f"({parameter.default})::{parameter.type}"
        values.extend(argument.values)
        return f"({argument.expression})::{parameter.type}"

    body = re.sub(r"\bp_\w+\b", replace, function.body.replace("%", "%%"))
    return body.strip(), values


def _closing(text: str, begin: int) -> int:
    """Return the place of the bracket that closes the one before `begin`."""
    depth = 1
    for place in range(begin, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    raise ValueError(text)
