"""PgBouncer in front of a server, in transaction mode: what LISTEN and session state don't survive."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from servers import Server, _account, _environment, _temporary_directory

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DEADLINE_SECONDS = 20

SETTINGS = """
[databases]
* = host={server} port=5432

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = 4
server_login_retry = 1
logfile = {directory}/log
pidfile = {directory}/pid
"""


class Pooler:
    """One process of PgBouncer, in a temporary folder. A context manager."""

    def __init__(self, server: Server, mode: str = "transaction") -> None:
        assert PROGRAM is not None, "pgbouncer is not installed"
        self.directory = _temporary_directory("pgbouncer")
        self._settings = self.directory / "pgbouncer.ini"
        self._settings.write_text(SETTINGS.format(server=server.directory, directory=self.directory, mode=mode))
        (self.directory / "users").write_text('"app" ""\n"postgres" ""\n')
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Pooler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str, user: str = "app") -> str:
        """Return the URL of a database through the pooler."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.directory), safe='')}&port=6432"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM is not None
        user = _account().pw_name if os.geteuid() == 0 else None
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                [PROGRAM, str(self._settings)], stdout=output, stderr=output, user=user, env=_environment(), cwd="/"
            )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, Path(self.directory / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it: clients and servers lose their connections at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self.directory / "pid").unlink(missing_ok=True)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
