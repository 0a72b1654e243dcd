"""`pgflow compile`, and how APP is understood by all commands that take it."""

from __future__ import annotations

import subprocess

import psycopg
import pytest


@pytest.mark.feature("A4.12")
@pytest.mark.parametrize("attribute", ["app", "flows"])
def test_flows_are_registered_and_then_verified(pgflow, url, greeting_module, attribute):
    assert pgflow("compile", f"{greeting_module}:{attribute}").output == "greeting: compiled\nsecond: compiled\n"
    assert pgflow("compile", f"{greeting_module}:{attribute}").output == "greeting: verified\nsecond: verified\n"


def test_a_flow_itself_is_an_app(pgflow, url, greeting_module):
    assert pgflow("compile", f"{greeting_module}:second").output == "second: compiled\n"


def test_a_package_and_an_attribute_of_an_attribute_are_an_app(pgflow, url, folder, greeting_module, write_module):
    write_module("holder_module", "import greeting_module\nclass Holder:\n    app = greeting_module.app\n")
    assert pgflow("compile", "holder_module:Holder.app").code == 0


@pytest.mark.feature("A4.14")
def test_sql_is_printed_and_nothing_changed(pgflow, url, greeting_module):
    ended = pgflow("compile", f"{greeting_module}:app", "--sql")
    assert ended.code == 0
    assert ended.output.startswith("SELECT pgflow.create_flow('greeting'")
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from pgflow.flows").fetchone() == (0,)


@pytest.mark.feature("A4.13", "A4.14")
def test_the_printed_sql_registers_the_same_flows(pgflow, url, greeting_module, newest_server):
    text = pgflow("compile", f"{greeting_module}:app", "--sql").output
    psql = [newest_server.binaries / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null", url]
    subprocess.run(psql, input=text, text=True, check=True)
    assert pgflow("compile", f"{greeting_module}:app").output == "greeting: verified\nsecond: verified\n"


JOBS = """
from pgflow import PgFlow, job

@job
async def send(message: str) -> str:
    return message

app = PgFlow(jobs=[send])
jobs = [send]
"""


@pytest.mark.parametrize("attribute", ["app", "jobs", "send"])
def test_jobs_are_an_app(pgflow, url, write_module, attribute):
    write_module("jobs_module", JOBS)
    assert pgflow("compile", f"jobs_module:{attribute}").output == "send: compiled\n"


def test_the_printed_sql_registers_a_job(pgflow, url, write_module, newest_server):
    write_module("jobs_module", JOBS)
    with psycopg.connect(url) as connection:
        connection.execute(pgflow("compile", "jobs_module:app", "--sql").output)
        assert connection.execute("select flow_slug, flow_type from pgflow.flows").fetchall() == [("send", "job")]
    assert pgflow("compile", "jobs_module:app").output == "send: verified\n"


def test_sql_needs_no_database(pgflow, greeting_module, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert pgflow("compile", f"{greeting_module}:app", "--sql").code == 0


def test_a_changed_flow_is_refused_and_recompiled_on_request(pgflow, compiled, write_module):
    write_module(
        "changed_module",
        "from pgflow import Flow\nchanged = Flow('greeting')\n@changed.step\ndef other(a: int) -> int: return a\n",
    )
    refused = pgflow("compile", "changed_module:changed")
    assert refused.code == 2
    assert refused.errors.startswith("pgflow: flow 'greeting' differs from the database: ")
    assert "`pgflow compile APP --allow-data-loss`" in refused.errors
    assert pgflow("compile", "changed_module:changed", "--allow-data-loss").output == "greeting: recompiled\n"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("greeting_module", "'greeting_module' is not module:attribute; write for example `app:app`"),
        (":app", "':app' is not module:attribute"),
        ("greeting_module:", "'greeting_module:' is not module:attribute"),
        ("", "'' is not module:attribute"),
        ("greeting_module.py:app", "no module 'greeting_module.py'"),
        ("folder/greeting_module:app", "no module 'folder/greeting_module'"),
        ("no_such_module:app", "no module 'no_such_module' here or on the Python path"),
        ("no_such.module:app", "no module 'no_such.module'"),
        ("..greeting_module:app", "'..greeting_module'"),
        (".:app", "'.'"),
        ("greeting_module:ap", "has no attribute 'ap'; it has app, flows, greeting, nothing, second"),
        ("greeting_module:app.nothing", "has no attribute 'app.nothing'"),
        ("greeting_module:Flow", "greeting_module:Flow is a type; it must be a PgFlow object, a Flow, or a list"),
        ("greeting_module:nothing", "greeting_module:nothing has no flows; pass them as PgFlow(flows=[…], jobs=[…])"),
    ],
)
@pytest.mark.parametrize("command", ["compile", "worker"])
def test_a_reference_that_leads_nowhere_is_explained(pgflow, url, greeting_module, command, reference, message):
    ended = pgflow(command, reference)
    assert ended.code == 2
    assert message in ended.errors
    assert (ended.errors.count("\n"), ended.output) == (1, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "bad_module.py:1: SyntaxError: invalid syntax"),
        ("raise RuntimeError('at\\nimport')", "bad_module.py:1: RuntimeError: at import"),
        ("import not_installed_here", "bad_module.py:1: No module named 'not_installed_here'; install it"),
        ("import sys\nsys.exit(0)", "bad_module.py:2: SystemExit: 0"),
        ("from pgflow import Flow\nFlow('no good')", "bad_module.py:2: flow"),
        (
            "from pgflow import Flow\nf = Flow('f')\n@f.step\ndef s(a: int, nobody: int) -> int: ...\n",
            "nobody",
        ),
        ("from pgflow import Flow\napp = Flow('empty')", "step"),
    ],
)
def test_a_module_that_cannot_be_imported_is_explained(pgflow, url, write_module, text, message):
    write_module("bad_module", text)
    ended = pgflow("compile", "bad_module:app")
    assert ended.code == 2
    assert message in ended.errors
    assert ended.errors.count("\n") == 1


def test_two_flows_of_one_slug_are_refused(pgflow, url, write_module):
    write_module(
        "twice_module",
        "from pgflow import Flow\n"
        "def make():\n    f = Flow('same')\n    @f.step\n    def s(a: int) -> int: return a\n    return f\n"
        "app = [make(), make()]\n",
    )
    ended = pgflow("compile", "twice_module:app")
    assert (ended.code, ended.errors) == (2, "pgflow: two flows are called 'same'\n")


@pytest.mark.parametrize("command", ["compile", "check"])
def test_the_url_of_the_application_counts_unless_another_is_given(pgflow, url, write_module, monkeypatch, command):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    source = "from pgflow import Flow, PgFlow\nf = Flow('f')\n@f.step\ndef s(a: int) -> int: return a\n"
    write_module(
        "own_module", f"{source}here = PgFlow({url!r}, flows=[f])\nthere = PgFlow('postgresql://x:1', flows=[f])"
    )
    assert pgflow(command, "own_module:here").code == 0
    assert pgflow(command, "own_module:there", "--url", url).code == 0
