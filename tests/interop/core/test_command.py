"""`pgflow migrate --adopt` as a command."""

from __future__ import annotations

import subprocess
import sys


def test_the_command_adopts_and_removes(reference_url: str):
    assert "functions to the reference's core 0.8.0, changed nothing" in migrate(reference_url, "--adopt").stdout
    assert "removed" in migrate(reference_url, "--adopt", "--remove").stdout
    again = migrate(reference_url, "--adopt", "--remove")
    assert (again.returncode, again.stderr.count("\n")) == (3, 1)
    assert "nothing to remove" in again.stderr


def test_without_adopt_the_command_says_what_to_do(reference_url: str):
    ended = migrate(reference_url)
    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)
    assert "pgflow migrate --adopt" in ended.stderr


def test_options_that_contradict_each_other_are_refused(reference_url: str):
    for options in (["--remove"], ["--adopt", "--remove", "--print"]):
        ended = migrate(reference_url, *options)
        assert ended.returncode == 2
        assert "--remove goes with --adopt" in " ".join(ended.stderr.split())


def test_a_check_says_whose_schema_it_is(url: str, state: str):
    ended = subprocess.run([sys.executable, "-m", "pgflow", "check", "--url", url], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert "made by the reference's migrations, core 0.8.0" in ended.stdout
    assert ("--adopt" in ended.stdout) == (state != "adopted")


def migrate(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pgflow", "migrate", "--url", url, *options]
    return subprocess.run(command, capture_output=True, text=True)
