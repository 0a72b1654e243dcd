"""docs/telemetry.md: the reference is what the tables say, and the examples do what the text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = dict(
    zip(
        ("handler", "logs", "otel", "prometheus"),
        re.findall(
            r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", (ROOT / "docs/telemetry.md").read_text(), re.M | re.S
        ),
        strict=True,
    )
)


def test_the_reference_is_what_the_tables_say() -> None:
    command = [sys.executable, "tools/document_telemetry.py", "--check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("example", BLOCKS)
def test_the_examples_print_what_is_below_them(example: str, newest_database_url: str) -> None:
    text, printed = BLOCKS[example]
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env={**os.environ, "PGFLOW_DATABASE_URL": newest_database_url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, printed, "")
