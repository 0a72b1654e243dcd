"""`pgflow check`."""

from __future__ import annotations

import json

import psycopg
import pytest


def test_a_database_that_is_ready_is_told_line_by_line(pgflow, url):
    ended = pgflow("check")
    assert (ended.code, ended.errors) == (0, "")
    words = [line.split()[:3] for line in ended.output.splitlines()]
    names = ["connection", "versions", "pgmq", "schema", "role", "clock", "pooler"]
    assert words == [["✔", "ok", name] for name in names]


def test_the_flows_of_an_application_are_compared(pgflow, compiled, greeting_module, write_module):
    assert pgflow("check", f"{greeting_module}:app").output.splitlines()[-1].split()[:5] == [
        "✔", "ok", "flow", "second", "is",
    ]  # fmt: skip
    write_module(
        "changed_module",
        "from pgflow import Flow\n"
        "changed = Flow('greeting')\n@changed.step\ndef other(a: int) -> int: return a\n"
        "new = Flow('new')\n@new.step\ndef other(a: int) -> int: return a\n"
        "flows = [changed, new]\n",
    )
    ended = pgflow("check", "changed_module:flows")
    assert ended.code == 1
    changed, new = ended.output.splitlines()[-2:]
    assert changed.startswith("✘ failed  flow       greeting differs from the database: ")
    assert changed.endswith("delete its runs with `pgflow compile APP --allow-data-loss`")
    assert new == "! warning flow       new isn't registered; `pgflow compile` or a worker does it"


def test_it_registers_nothing(pgflow, url, greeting_module):
    assert pgflow("check", f"{greeting_module}:app").code == 0
    with psycopg.connect(url) as connection:
        assert connection.execute("select from pgflow.flows").fetchall() == []


def test_programs_read_json(pgflow, url):
    found = [json.loads(line) for line in pgflow("check", "--json").output.splitlines()]
    assert found[0].keys() == {"name", "status", "message", "remedy"}
    assert {check["status"] for check in found} == {"ok"}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_server_that_is_down_ends_it_with_3(pgflow, options):
    ended = pgflow("check", "--url", "postgresql://me:s3cret@127.0.0.1:1/app", *options)
    assert (ended.code, ended.errors, "s3cret" in ended.output) == (3, "", False)
    assert "Connection refused" in ended.output


def test_a_database_without_schema_ends_it_with_3(pgflow, newest_server, greeting_module):
    ended = pgflow("check", f"{greeting_module}:app", "--url", newest_server.url("postgres"))
    assert ended.code == 3
    assert "✘ failed  schema     this database has no pgflow schema; run `pgflow migrate`\n" in ended.output


def test_an_application_that_is_not_there_ends_it_with_2(pgflow, url):
    ended = pgflow("check", "no_such_module:app")
    assert (ended.code, ended.output) == (2, "")
    assert "no module 'no_such_module'" in ended.errors
