"""Completion by shells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("pgflow")


@pytest.fixture
def completed(monkeypatch, folder):
    """Returns what bash would offer for the last word of a line."""

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_PGFLOW_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        ended = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=60)
        assert ended.stderr == ""
        return ended.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pgflow wor", ["worker", "workers"]),
        ("pgflow server st", ["status", "stop"]),
        ("pgflow runs --wat", ["--watch"]),
        ("pgflow runs --status f", ["failed"]),
        ("pgflow graph --format m", ["mermaid"]),
    ],
)
def test_commands_options_and_choices_are_completed(completed, line, offered):
    assert completed(line) == offered


@pytest.mark.parametrize(
    "line", ["pgflow start gr", "pgflow graph gr", "pgflow runs --flow gr", "pgflow prune --flow g"]
)
def test_slugs_of_flows_are_completed(completed, compiled, line):
    assert completed(line) == ["greeting"]


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/none", "nonsense", ""])
def test_without_a_database_nothing_is_completed_and_nothing_started(completed, monkeypatch, folder, url):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
    assert completed("pgflow start gr") == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_for_each_shell(run_process, shell):
    ended = run_process("--show-completion", shell)
    assert ended.code == 0
    assert "complete" in ended.output.lower()


def test_completion_is_installed_into_the_home_of_the_user(run_process, tmp_path):
    ended = run_process("--install-completion", "bash", HOME=str(tmp_path))
    assert ended.code == 0
    assert "bash_completions" in (tmp_path / ".bashrc").read_text()
