"""One virtual environment per peer, and the reference core as downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
REFERENCE = "@pgflow/core@0.8.1"


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer needs: its requirements, and whether its state is in Redis instead of PostgreSQL."""

    name: str
    requirements: Sequence[str]
    uses_redis: bool = False


PEERS = {
    peer.name: peer
    for peer in (
        Peer("pgflow", ()),  # the environment that this runs in
        Peer("procrastinate", ("procrastinate", "psycopg[binary,pool]")),
        Peer("pgqueuer", ("pgqueuer[asyncpg]", "psycopg[binary]", "uvloop")),
        Peer("chancy", ("chancy", "psycopg[binary,pool]")),
        Peer("absurd", ("absurd-sdk", "absurdctl", "psycopg[binary]")),
        Peer("dbos", ("dbos", "psycopg[binary]")),
        Peer("celery", ("celery", "redis", "packaging"), uses_redis=True),
        Peer("reference", ("pgmq", "psycopg[binary,pool]")),
    )
}


class Environments:
    """Environments under a folder, made when they are missing or their requirements have changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, peer: Peer) -> Path:
        """Return the interpreter of a peer."""
        if not peer.requirements:
            return Path(sys.executable)
        environment = self._folder / peer.name
        wanted = hashlib.sha256(" ".join(peer.requirements).encode()).hexdigest()
        mark = environment / ".requirements"
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(environment, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *peer.requirements], check=True)
            mark.write_text(wanted)
        return environment / "bin/python"

    def reference_package(self) -> Path:
        """Return the folder of the reference core's package, as it was published."""
        folder = self._folder / REFERENCE.replace("/", "-")
        if not (folder / "package").exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "pack", "--silent", REFERENCE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            [archive] = folder.glob("*.tgz")
            with tarfile.open(archive) as content:
                content.extractall(folder, filter="data")
        return folder / "package"


class Program:
    """A peer's program: every command runs in an interpreter of its own and answers with JSON."""

    def __init__(self, peer: Peer, environments: Environments, log: Path) -> None:
        self.peer = peer
        self._python = environments.python(peer)
        self._log = log
        self._variables = {"PYTHONPATH": str(BENCHMARKS)}
        if peer.name == "reference":
            self._variables["BENCH_REFERENCE"] = str(environments.reference_package())
        self.description = self.run("describe")

    @property
    def kinds(self) -> Sequence[str]:
        """What it can do."""
        kinds: Sequence[str] = self.description["kinds"]
        return kinds

    def run(self, command: str, **options: Any) -> dict[str, Any]:
        """Run a command to its end. Raises RuntimeError, with the end of what it said, when it fails."""
        with self.start(command, **options) as process:
            output, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{self.peer.name} {command} failed: {self._last_words()}")
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result

    def start(self, command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command; its answer is the last line of its output."""
        with self._log.open("a") as log:
            log.write(f"--- {self.peer.name} {command} {json.dumps(options)}\n")
            log.flush()
            return subprocess.Popen(
                [self._python, "-m", f"peers.{self.peer.name}", command, json.dumps(options)],
                cwd=BENCHMARKS,
                env={**_environment(), **self._variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'no reason given'} (see {self._log})"


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTHON"))}
