"""Write the reference in docs/cli.md from the commands as they are registered, or check that it is up to date.

Usage: python tools/document_cli.py [--check]

What people wrote above the marker stays.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer.main

from pgflow.cli.main import app

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
MARKER = "<!-- Everything below is written by tools/document_cli.py from the commands in src/pgflow/cli. -->\n"

_WORDS = {bool: "", int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def document() -> str:
    """Return the reference in Markdown."""
    group: Any = typer.main.get_command(app)
    sections = ["## Reference\n", "Options of `pgflow` itself stand before the command.\n", *_options(group)]
    for name, command in _commands(group):
        sections += _section(name, command)
    return "\n".join(sections)


def main(arguments: Sequence[str]) -> int:
    present = DOCUMENT.read_text(encoding="utf-8")
    wanted = present.partition(MARKER)[0] + MARKER + "\n" + document()
    if wanted == present:
        return 0
    if "--check" in arguments:
        sys.stdout.writelines(
            difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(DOCUMENT), "generated")
        )
        return 1
    DOCUMENT.write_text(wanted, encoding="utf-8")
    print(f"wrote docs/{DOCUMENT.name}")
    return 0


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _section(name: str, command: Any) -> list[str]:
    hints = _hints(command)
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([f"pgflow {name}", *(_value(parameter, hints) for parameter in arguments), "[OPTION]…"])
    examples = [line for line in (command.epilog or "").split("\n\n") if line]
    shown = ["```console", *(f"$ {line}" for line in examples), "```\n"] if examples else []
    text = " ".join(inspect.cleandoc(command.help or "").split())
    return [f"### pgflow {name}\n", f"`{usage}`\n", f"{text}\n", *_options(command), *shown]


def _hints(command: Any) -> dict[str, Any]:
    """Return the types of the parameters by name, as the function has them: what typer makes of them varies."""
    return get_type_hints(inspect.unwrap(command.callback))


def _options(command: Any) -> list[str]:
    hints = _hints(command)
    rows = [
        f"| {_names(parameter, hints)} | {_meaning(parameter)} |"
        for parameter in command.params
        if not parameter.hidden and parameter.name in hints
    ]
    return ["| | |", "|---|---|", *rows, ""] if rows else []


def _names(parameter: Any, hints: Mapping[str, Any]) -> str:
    value = _value(parameter, hints).replace("|", "\\|")
    if parameter.param_type_name == "argument":
        return f"`{value}`"
    longest, *others = sorted(parameter.opts, key=len, reverse=True)
    return ", ".join([f"`{longest}{f' {value}' if value else ''}`", *(f"`{name}`" for name in others)])


def _value(parameter: Any, hints: Mapping[str, Any]) -> str:
    """Return what stands for the value of a parameter; nothing for a flag."""
    return parameter.metavar or _word(hints[parameter.name])


def _word(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    return _word(next(each for each in get_args(hint) if each is not type(None)))


def _meaning(parameter: Any) -> str:
    """Return the help, with the default and the environment variable where they say something."""
    default = parameter.default
    has_default = not (callable(default) or default in (None, False, "", ()) or parameter.required)
    parts = [
        (parameter.help or "").replace("|", "\\|"),
        f"Default: `{default}`." if has_default else "",
        f"Or `{parameter.envvar}`." if parameter.envvar else "",
        "Required." if parameter.required and parameter.param_type_name == "option" else "",
    ]
    return " ".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
