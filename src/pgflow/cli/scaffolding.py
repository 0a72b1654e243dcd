"""`pgflow init`."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from pgflow.cli.output import command_name, errors
from pgflow.errors import PgFlowError

_HIDDEN = {"env": ".env", "gitignore": ".gitignore"}
_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]{0,98}[A-Za-z0-9]")
_SHOWN = 5


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIRECTORY]", help="Where to; made if missing.")] = Path(),
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The project's name. Default: that of the folder.")
    ] = None,
) -> None:
    """Write a project that runs: a flow, its tests, an application, settings. Never overwrites anything."""
    target = directory.absolute()
    contents = template(_checked(name) if name is not None else _name_of(target))
    write(target, contents)
    written = ", ".join(sorted(map(str, contents)))
    errors.print(
        f"wrote {written} into {target}\n\n{_next_commands(directory)}\nREADME.md says more.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _next_commands(directory: Path) -> str:
    command = command_name()
    if directory.absolute() == Path.cwd():
        return f"  {command} dev app:app\n"
    if os.sep in command:  # a path that leads elsewhere from there
        command = " ".join(str(Path(word).absolute()) if os.sep in word else word for word in command.split(" "))
    return f"  cd {shlex.quote(str(directory))}\n  {command} dev app:app\n"


def template(name: str) -> dict[Path, str]:
    """Return the files of a project of this name."""
    return {path: text.replace("{{name}}", name) for path, text in _read(files("pgflow.cli") / "template", Path())}


def write(target: Path, contents: dict[Path, str]) -> None:
    """Write all files below a folder, or none. Raises PgFlowError that lists what is in the way."""
    in_the_way = sorted(str(path) for path in contents if _exists(target / path))
    if in_the_way:
        more = f" and {len(in_the_way) - _SHOWN} more" if len(in_the_way) > _SHOWN else ""
        raise PgFlowError(
            f"{target} has {', '.join(in_the_way[:_SHOWN])}{more} already and nothing was written; "
            "name another folder: `pgflow init DIRECTORY`"
        )
    made: list[Path] = []
    try:
        for path, text in contents.items():
            _make_folders((target / path).parent, made)
            with (target / path).open("x", encoding="utf-8") as file:
                made.append(target / path)
                file.write(text)
    except BaseException as error:
        _remove(made)
        if isinstance(error, OSError):
            place = error.filename or target
            raise PgFlowError(
                f"can't write {place}: {error.strerror}, and nothing was written; name a folder of yours"
            ) from error
        raise


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError:
        return False


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        made.append(each)


def _remove(made: list[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):  # a folder that somebody else has put something into
            path.rmdir() if path.is_dir() else path.unlink()


def _read(folder: Traversable, path: Path) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _read(entry, path / entry.name)
        elif entry.name.endswith(".txt"):
            name = entry.name.removesuffix(".txt")
            found.append((path / _HIDDEN.get(name, name), entry.read_text(encoding="utf-8")))
    return found


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PgFlowError(
            f"{name!r} can't be a project's name; write letters, digits, and inside - . _, at most 100: --name my-flows"
        )
    return name


def _name_of(folder: Path) -> str:
    """Return a project's name that is like the folder's."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:100].rstrip("-._")
    return found or "flows"
