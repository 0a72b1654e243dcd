"""Functions over the reference's schema, read from their SQL sources: to be installed, or sent as statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

_INCLUDE = re.compile(r"^\\ir\s+(\S+)\s*$", re.MULTILINE)
_DEFINITION = re.compile(
    r"create or replace function pgflow\.(?P<name>\w+)\((?P<parameters>.*?)\)\n"
    r"returns (?P<returns>.*?)\nlanguage .*?as \$\$\n(?P<body>.*?);?\n\$\$;",
    re.DOTALL,
)
_PARAMETER = re.compile(r"(?P<name>\w+) (?P<type>.+?)(?: default (?P<default>.+))?")
_TABLE = re.compile(r"table \((.*)\)", re.DOTALL)
_CHANGES_ROWS = re.compile(r"\b(?:insert into|update pgflow|delete from)\b")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a function: `default` is SQL, None where a value must be given."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its source, and what is needed to send its body as a statement."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: str
    body: str
    source: str

    @property
    def signature(self) -> str:
        """The function as `DROP FUNCTION` and `to_regprocedure` take it."""
        return f"pgflow.{self.name}({', '.join(parameter.type for parameter in self.parameters)})"

    @property
    def columns(self) -> list[str]:
        """Names of the columns of a function that returns a table, none for others."""
        found = _TABLE.fullmatch(self.returns)
        return [column.split()[0] for column in split_arguments(found[1])] if found else []

    @property
    def changes_rows(self) -> bool:
        """Whether the statement itself changes rows, so that PostgreSQL refuses it inside another one."""
        return _CHANGES_ROWS.search(self.body) is not None


@cache
def functions() -> dict[str, Function]:
    """Return all functions by name, in the order of installation."""
    contents = Path(str(files("pgflow").joinpath("sql", "reference", "contents.sql")))
    found = (_read(contents.parent / name) for name in _INCLUDE.findall(contents.read_text(encoding="utf-8")))
    return {function.name: function for function in found}


def split_arguments(text: str) -> list[str]:
    """Return the parts of a list that commas separate, those in brackets left out."""
    return list(_parts(text)) if text.strip() else []


def _read(path: Path) -> Function:
    source = path.read_text(encoding="utf-8")
    found = _DEFINITION.search(source)
    assert found is not None, path
    parameters = tuple(_parameter(text) for text in split_arguments(found["parameters"]))
    return Function(found["name"], parameters, found["returns"], found["body"], source)


def _parameter(text: str) -> Parameter:
    found = _PARAMETER.fullmatch(text)
    assert found is not None, text
    return Parameter(found["name"], found["type"], found["default"])


def _parts(text: str) -> Iterator[str]:
    depth = begin = 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            yield text[begin:place].strip()
            begin = place + 1
    yield text[begin:].strip()
