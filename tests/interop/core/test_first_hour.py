"""`pgflow dev`, and `pgflow check` with an application, on a schema of the reference."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from pgflow import Flow, PgFlow

greeting = Flow("greeting")

@greeting.step
def greet(person: str) -> str:
    return "Hello, " + person

app = PgFlow(flows=[greeting])
"""


@pytest.mark.slow
def test_dev_works_there_and_migrates_nothing(url: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").touch()
    pgflow = [sys.executable, "-m", "pgflow"]
    variables = {**os.environ, "PGFLOW_DATABASE_URL": url}
    process = subprocess.Popen(
        [*pgflow, "dev", "app:app"], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = next((line for line in process.stderr if re.search("worker runs|pgflow: ", line)), "")
        assert "worker runs" in said
        start = [*pgflow, "start", "greeting", "--input", '"Ada"', "--wait"]
        ended = subprocess.run(start, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
        assert ended.stdout.splitlines()[-1] == 'output {"greet":"Hello, Ada"}', ended.stderr
        checked = subprocess.run(
            [*pgflow, "check", "app:app"], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60
        )
        assert "greeting is registered as it is in the code" in checked.stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
