"""Workers and clients of the reference, run by Node."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict

from interop.packages import DIRECTORY, NODE_MODULES, node

DEADLINE_SECONDS = 30


class NodeWorker:
    """A worker of the reference in a process of its own, which works a flow of flows.ts, up to so many `tasks`.

    It runs when this object is there.
    """

    def __init__(self, url: str, flow_slug: str, tasks: int | None = None) -> None:
        command = [str(node()), "worker.ts", flow_slug, *([] if tasks is None else [str(tasks)])]
        self._process = subprocess.Popen(
            command, cwd=DIRECTORY, env=_environment(url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.worker_id = UUID(self.until_printed("ready ").split()[1])

    def until_printed(self, start: str) -> str:
        """Wait for a line that starts so, and return it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            ended = self._process.poll() is not None and not self._reader.is_alive()
            found = next((line for line in list(self.lines) if line.startswith(start)), None)
            if found is not None:
                return found
            assert not ended, f"the worker has ended without {start!r}:\n{''.join(self.lines)}"
            assert time.monotonic() < deadline, f"waited in vain for {start!r}:\n{''.join(self.lines)}"
            time.sleep(0.01)

    def finish(self) -> None:
        """Wait for it to have worked its tasks."""
        code = self._process.wait(DEADLINE_SECONDS)
        self._close()
        assert code == 0, "".join(self.lines)

    def stop(self) -> None:
        """Ask it to finish and wait until it has."""
        self._process.terminate()
        self.finish()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(self._process.stdout)


def run_client(*arguments: str, url: str | None = None) -> str:
    """Run client.ts and return what it prints."""
    return run_program("client.ts", *arguments, url=url)


def run_program(*arguments: str, url: str | None = None) -> str:
    """Run a program of this folder and return what it prints."""
    ended = subprocess.run(
        [str(node()), *arguments],
        cwd=DIRECTORY,
        env=_environment(url),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def type_errors(*arguments: str) -> str:
    """Return what TypeScript's compiler has to say; nothing if it accepts all."""
    command = [str(node()), str(NODE_MODULES / "typescript" / "bin" / "tsc"), *arguments]
    return subprocess.run(command, cwd=DIRECTORY, capture_output=True, text=True, timeout=60).stdout


def _environment(url: str | None) -> dict[str, str]:
    """Return the environment with the connection of a URL, as libpq names its parts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if url is not None:
        parts = conninfo_to_dict(url)
        environment |= {"PGHOST": str(parts["host"]), "PGPORT": str(parts["port"])}
        environment |= {"PGUSER": str(parts["user"]), "PGDATABASE": str(parts["dbname"])}
    return environment
