"""docs/cli.md: the session prints what is there, the reference is that of the commands, and examples are usage."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pgflow.cli.main import app

ROOT = Path(__file__).parents[2]
GUIDE, _, REFERENCE = (ROOT / "docs/cli.md").read_text(encoding="utf-8").partition("<!-- Everything below")
RUN_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d+(\.\d+)? (ms|s)\b|\b(\d+ms|\d+s|\d+m\d\ds)\b")


def commands() -> Iterator[tuple[str, Any]]:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {each}", found) for each, found in inner.items()) if inner else [(name, command)]


COMMANDS = dict(commands())


def comparable(text: str) -> list[str]:
    """Return lines without ids and times, nor the blanks that depend on their widths."""
    lines = TIME.sub("TIME", RUN_ID.sub("ID", text)).splitlines()
    return [" ".join(line.split()) for line in lines]


def test_the_reference_is_that_of_the_commands() -> None:
    command = [sys.executable, "tools/document_cli.py", "--check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options_and_says_what_it_is_for(name: str) -> None:
    section = REFERENCE.partition(f"### pgflow {name}\n")[2].partition("\n### ")[0]
    assert section
    for parameter in COMMANDS[name].params:
        if parameter.name == "help" or parameter.hidden:
            continue
        assert (parameter.help or "").strip(), f"{parameter.name} has no help"
        if parameter.param_type_name == "option":
            assert all(option in section for option in parameter.opts)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_usage(name: str) -> None:
    for example in filter(None, (COMMANDS[name].epilog or "").split("\n\n")):
        used = [shlex.split(part.split(" > ")[0]) for part in example.split(" | ") if part.startswith("pgflow ")]
        assert ["pgflow", *name.split()] in [words[: 1 + len(name.split())] for words in used]
        for _, command, *arguments in used:
            COMMANDS[command].make_context(command, arguments)


@pytest.mark.slow
def test_the_session_prints_what_is_below_its_commands(tmp_path: Path, newest_database_url: str) -> None:
    flows = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
    (tmp_path / "shop.py").write_text(flows[0], encoding="utf-8")
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PGFLOW_DATABASE_URL": newest_database_url,
    }
    ids: dict[str, str] = {}
    worker: subprocess.Popen[bytes] | None = None
    try:
        for block in re.findall(r"^```console\n(.*?)^```", GUIDE, re.M | re.S):
            for line, expected in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.M):
                if line.endswith(" &"):
                    words = shlex.split(line.removesuffix(" &").partition(" 2>")[0])
                    worker = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
                    continue
                command = RUN_ID.sub(lambda found, ids=ids: ids[found[0]], line)  # type: ignore[misc]
                options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 60}
                ended = subprocess.run(command, shell=True, **options)  # type: ignore[call-overload]
                written = ended.stdout + ended.stderr
                ids |= {
                    told[0]: real[0]
                    for told, real in zip(RUN_ID.finditer(expected), RUN_ID.finditer(written), strict=False)
                }
                assert comparable(written) == comparable(expected), command
    finally:
        if worker is not None:
            worker.terminate()
            worker.wait(timeout=30)
