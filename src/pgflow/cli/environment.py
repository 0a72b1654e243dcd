"""The file `.env` of a project: variables for the command and for the handlers that it runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pgflow.cli.output import errors
from pgflow.embedded import project_directory
from pgflow.errors import PgFlowError

FILE = ".env"

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:#.*)?""")

_from_file: set[str] = set()


def load() -> None:
    """Take over what `.env` in the project's folder says; what the environment says already comes first.

    Lines are `NAME=value`, also with `export` or with quotes around the value; a `#` begins a remark. Anything else is
    left out with a warning, since the file may belong to other programs too.
    """
    path = project_directory() / FILE
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PgFlowError(f"can't read {path}: {error}; make it readable text, or remove it") from error
    for name, value in _variables(text, path):
        if name not in os.environ:
            os.environ[name] = value
            _from_file.add(name)


def without_file() -> dict[str, str]:
    """Return the environment as it was before `.env`, for a process that reads the file anew."""
    return {name: value for name, value in os.environ.items() if name not in _from_file}


def _variables(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or "\0" in line:
            errors.print(
                f"pgflow: {path}, line {number} isn't NAME=value and is left out",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            continue
        yield match[1], _value(match[2])


def _value(text: str) -> str:
    """Return the value without quotes, or without the remark behind it."""
    if quoted := _QUOTED.fullmatch(text):
        return quoted[2]
    return re.split(r"\s#", text, maxsplit=1)[0].strip()
