"""`pgflow export`."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    """Exporting needs no database."""
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")


MODULE = """
from pgflow import Flow, PgFlow, job

first = Flow("first")

@first.step
def greet(name: str) -> str: return name

@job
def second(name: str) -> str: return name

refused = Flow("refused", base_delay=0, timeout=1)

@refused.step
def only(name: str) -> str: return name

app = PgFlow(flows=[first], jobs=[second])
"""


@pytest.fixture
def module(write_module):
    write_module("exported_module", MODULE)
    return "exported_module"


def test_flows_and_jobs_are_printed_in_typescript(pgflow, module):
    ended = pgflow("export", f"{module}:app", "--typescript")
    assert ended.code == 0
    assert [line.split(" = ")[0] for line in ended.output.splitlines() if line.startswith("export")] == [
        "export const first",
        "export const second",
        "export default first;",
    ]


def test_flows_and_jobs_are_printed_in_elixir(pgflow, module):
    ended = pgflow("export", f"{module}:app", "--elixir")
    assert ended.code == 0
    assert "  use PgFlow.Flow\n\n  @flow slug: :first," in ended.output
    assert "  use PgFlow.Job\n\n  @job queue: :second," in ended.output


def test_only_the_chosen_flows_are_printed(pgflow, module):
    assert ":second" not in pgflow("export", f"{module}:app", "--flow", "first", "--elixir").output
    unknown = pgflow("export", f"{module}:app", "--flow", "third", "--elixir")
    assert (unknown.code, unknown.errors) == (2, "pgflow: no flow 'third' in the application; flows: first, second\n")


@pytest.mark.parametrize("languages", [[], ["--typescript", "--elixir"]])
def test_one_language_has_to_be_chosen(pgflow, module, languages):
    ended = pgflow("export", f"{module}:app", *languages)
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors == "pgflow: say which language: --typescript or --elixir\n"


def test_what_typescript_refuses_is_told_in_one_line(pgflow, module):
    ended = pgflow("export", f"{module}:refused", "--typescript")
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors == (
        "pgflow: the TypeScript implementation refuses this; flow 'refused': base_delay must be 1 or more there, not 0;"
        " flow 'refused': timeout must be 3 or more there, not 1\n"
    )
    assert pgflow("export", f"{module}:refused", "--elixir").code == 0
