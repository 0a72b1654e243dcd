"""The file `.env`."""

from __future__ import annotations

import pytest

from pgflow.cli import environment

MODULE = """
import os
from pgflow import Flow
told = Flow(os.environ.get("TOLD", "untold"))
@told.step
def only(a: int) -> int: return a
"""


@pytest.fixture
def slug(folder, write_module, run_process):
    """Writes .env, and returns what `TOLD` is to a module that a command imports."""
    write_module("told_module", MODULE)
    (folder / "pyproject.toml").touch()

    def read(text: str, **variables: str) -> str:
        (folder / ".env").write_text(text, encoding="utf-8")
        ended = run_process("compile", "told_module:told", "--sql", **variables)
        assert ended.code == 0, ended.errors
        return ended.output.split("'")[1]

    return read


@pytest.mark.parametrize(
    "text",
    [
        "TOLD=it",
        "  TOLD = it  ",
        "export TOLD=it",
        "TOLD='it'",
        'TOLD="it" # a remark',
        "TOLD=it # a remark",
        "# a remark\n\nTOLD=other\nTOLD=it",
    ],
)
def test_variables_are_taken_over(monkeypatch, tmp_path, text):
    monkeypatch.delenv("TOLD", raising=False)
    assert dict(environment._variables(text, tmp_path))["TOLD"] == "it"


def test_values_keep_what_belongs_to_them(tmp_path):
    text = "URL=postgresql://me:a#b=c@db/x\nQUOTED='a # b'\nEMPTY=\nUNICODE=日本"
    assert dict(environment._variables(text, tmp_path)) == {
        "URL": "postgresql://me:a#b=c@db/x",
        "QUOTED": "a # b",
        "EMPTY": "",
        "UNICODE": "日本",
    }


def test_a_command_reads_it(slug):
    assert slug("TOLD=from_the_file\n") == "from_the_file"


def test_the_environment_comes_first(slug):
    assert slug("TOLD=from_the_file\n", TOLD="from_outside") == "from_outside"


def test_a_command_in_a_folder_below_reads_it_too(slug, folder, run_process, monkeypatch):
    assert slug("TOLD=from_above\n") == "from_above"
    (folder / "below").mkdir()
    (folder / "told_module.py").rename(folder / "below" / "told_module.py")
    monkeypatch.chdir(folder / "below")
    assert "'from_above'" in run_process("compile", "told_module:told", "--sql").output


def test_other_lines_are_left_out_with_a_warning(folder, run_process, greeting_module):
    (folder / "pyproject.toml").touch()
    (folder / ".env").write_text("what is this?\n")
    ended = run_process("compile", f"{greeting_module}:app", "--sql")
    assert ended.code == 0
    assert ended.errors == f"pgflow: {folder}/.env, line 1 isn't NAME=value and is left out\n"


def test_what_is_no_text_is_an_error_in_one_line(folder, run_process, greeting_module):
    (folder / "pyproject.toml").touch()
    (folder / ".env").write_bytes(b"\xff")
    ended = run_process("compile", f"{greeting_module}:app", "--sql")
    assert ended.code == 2
    assert ended.errors.startswith(f"pgflow: can't read {folder}/.env: ")
    assert ended.errors.count("\n") == 1


def test_a_process_that_reads_it_anew_does_not_inherit_it(folder, monkeypatch):
    (folder / "pyproject.toml").touch()
    (folder / ".env").write_text("TOLD_BY_FILE=1\n")
    monkeypatch.setattr(environment.os, "environ", {"TOLD_BY_OTHERS": "2"})
    environment.load()
    assert environment.os.environ == {"TOLD_BY_OTHERS": "2", "TOLD_BY_FILE": "1"}
    assert environment.without_file() == {"TOLD_BY_OTHERS": "2"}
    environment._from_file.clear()
