from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from pgflow import cli
from pgflow.database_url import ENVIRONMENT_VARIABLE
from servers import Server

EMPTY = "select pgflow.delete_flow_and_data(flow_slug) from pgflow.flows"


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


class Command(Protocol):
    def __call__(self, *arguments: object, stdin: str = "") -> Ended: ...


@pytest.fixture(scope="session")
def cli_database_url(newest_server: Server) -> Iterator[str]:
    name = newest_server.create_database(newest_server.template())
    yield newest_server.url(name)
    newest_server.drop_database(name)


@pytest.fixture
def url(cli_database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database without flows, which commands use by default."""
    with psycopg.connect(cli_database_url, autocommit=True) as connection:
        connection.execute(EMPTY)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, cli_database_url)
    return cli_database_url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pgflow(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_logging: None) -> Command:
    """Runs a command in this process, which saves the time that starting one takes."""

    def run(*arguments: object, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["pgflow", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def spawn(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command as a process of its own; what still runs at the end of the test is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", *map(str, arguments)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_process(spawn: Callable[..., subprocess.Popen[str]]) -> Callable[..., Ended]:
    """Runs a command as a process of its own to its end."""

    def run(*arguments: object, **variables: str) -> Ended:
        process = spawn(*arguments, **variables)
        output, errors = process.communicate(timeout=60)
        return Ended(process.returncode, output, errors)

    return run


@pytest.fixture
def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a Python module into the working directory; it is forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)

    def write(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if (folder / f"{name}.py").exists():
            del sys.modules[name]


GREETING = """
from pgflow import Flow, PgFlow

greeting = Flow("greeting", max_attempts=1, base_delay=0)

@greeting.step
def greet(person: str) -> str:
    if person == "nobody":
        raise ValueError("nobody is there")
    return f"Hello, {person}!"

second = Flow("second")

@second.step
def only(number: int) -> int:
    return number

app = PgFlow(flows=[greeting, second])
flows = [greeting, second]
nothing = PgFlow()
"""


@pytest.fixture
def greeting_module(write_module: Callable[[str, str], None]) -> str:
    """The name of a module with flows `greeting` and `second`, and `app`, `flows` and `nothing`."""
    write_module("greeting_module", GREETING)
    return "greeting_module"


@pytest.fixture
def compiled(url: str, greeting_module: str, pgflow: Command) -> str:
    """The URL of a database with the flows of `greeting_module`."""
    assert pgflow("compile", f"{greeting_module}:app").code == 0
    return url
