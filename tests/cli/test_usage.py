"""Help, versions, and what is no command."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import typer.main

from pgflow.cli.main import _exit_code, app
from pgflow.errors import ConnectionLost, FlowNotFound, NotInstalled, PgFlowError, TooNew

GROUP = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)
WITHIN_GROUPS = [
    f"{name} {inner}" for name in COMMANDS for inner in sorted(getattr(GROUP.commands[name], "commands", {}))
]
OF_THE_INTERFACE = (
    "demo init migrate check compile worker start runs run graph flows workers retry cancel prune recover dev server"
)


def test_no_command_is_missing():
    assert set(OF_THE_INTERFACE.split()) - set(COMMANDS) == set()


def test_the_version_is_told(pgflow):
    assert pgflow("--version").output == f"pgflow {version('pgflow-py')}\n"


@pytest.mark.parametrize("help_option", ["--help", "-h"])
def test_help_lists_the_commands(pgflow, help_option):
    ended = pgflow(help_option)
    assert ended.code == 0
    assert [command for command in COMMANDS if command not in ended.output] == []


@pytest.mark.parametrize("command", [*COMMANDS, *WITHIN_GROUPS])
def test_every_command_has_help(pgflow, command):
    ended = pgflow(*command.split(), "--help")
    assert ended.code == 0
    assert "Usage: " in ended.output


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "start",
        "run",
        "start a b",
        "start a --nonsense",
        "start a --timeout x",
        "start a --input",
        "migrate a",
        "runs --limit 0",
        "runs --limit x",
        "runs nonsense",
        "flows nonsense",
        "workers --limit -1",
        "graph",
        "graph a b",
        "graph a --format png",
        "prune",
        "recover 5",
        "server nonsense",
    ],
)
def test_what_is_no_usage_ends_with_2(pgflow, line):
    ended = pgflow(*line.split())
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors.startswith("pgflow: ")
    assert ended.errors.endswith(" --help` shows how to call it\n")
    assert ended.errors.count("\n") == 1


def test_debug_shows_the_traceback_and_keeps_the_exit_code(run_process, compiled):
    ended = run_process("--debug", "start", "unknown")
    assert ended.code == 2
    assert "Traceback (most recent call last)" in ended.errors
    assert ended.errors.splitlines()[-1].startswith("pgflow: flow 'unknown' is not in the database")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConnectionLost("x"), 3), (NotInstalled(), 3), (TooNew("x"), 3), (FlowNotFound("x"), 2), (PgFlowError("x"), 2)],
)
def test_errors_have_exit_codes(error, code):
    assert _exit_code(error) == code
