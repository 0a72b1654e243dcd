"""Servers, databases and connections for all tests; `servers.py` says how servers are run."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from pgflow import telemetry
from servers import Server, installed_servers, use_memory, use_own_folder

use_memory()
use_own_folder()
try:
    SERVERS = installed_servers()
except RuntimeError as missing:
    raise pytest.UsageError(str(missing)) from None


def pytest_configure() -> None:
    """Let Ctrl-C reach the commands of tests: what a shell starts in the background inherits that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with files that have slow tests and end with those that have few, so that all processes end at once."""
    if not hasattr(config, "workerinput"):  # alone in one process the usual order is as good
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))


def pytest_report_header() -> str:
    found = ", ".join(f"{server.name} ({server.binaries})" for server in SERVERS)
    return f"postgres: {found or 'none found; tests that need one are skipped'}"


@pytest.fixture(scope="session", autouse=True)
def _servers_stop_at_the_end() -> Iterator[None]:
    yield
    for server in SERVERS:
        server.stop()


@pytest.fixture(scope="session", params=SERVERS, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Server:
    """Every test that depends on it runs once per installed version of PostgreSQL."""
    request.param.start()
    return request.param


@pytest.fixture(scope="session")
def newest_server() -> Server:
    """The newest installed version, where one is enough."""
    if not SERVERS:
        pytest.skip("no PostgreSQL is installed")
    SERVERS[-1].start()
    return SERVERS[-1]


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a database with all migrations applied; nobody connects to it."""
    return server.template()


# It ends with each file, which goes from server to server, so no file meets what rolled back tests of another one have
# left in its tables: dead rows, and statistics of them, which change plans.
@pytest.fixture(scope="session")
def _shared_connection(server: Server, template: str) -> Iterator[_Reopened]:
    name = server.create_database(template)
    shared = _Reopened(server.url(name))
    yield shared
    shared.close()
    server.drop_database(name)


@pytest.fixture
def connection(_shared_connection: _Reopened) -> Iterator[psycopg.Connection[DictRow]]:
    """A connection of the role `app` with rows as dicts, in a transaction that is rolled back; no flows."""
    connection = _shared_connection.get()
    yield connection
    if not connection.closed:
        connection.rollback()
        connection.autocommit = True
        connection.execute("discard all")
        connection.autocommit = False


@pytest.fixture
def database_url(server: Server, template: str) -> Iterator[str]:
    """A private migrated database, for tests with several connections; dropped afterwards."""
    yield from _database(server, template)


@pytest.fixture
def newest_database_url(newest_server: Server) -> Iterator[str]:
    """Like `database_url`, on the newest server only."""
    yield from _database(newest_server, newest_server.template())


@pytest.fixture
def empty_database_url(server: Server) -> Iterator[str]:
    """A private database with nothing installed, owned by the ordinary role `app`."""
    yield from _database(server, None)


@pytest.fixture
def superuser_url(server: Server) -> str:
    """The superuser's URL of the server's database `postgres`; `as_superuser` turns to another database."""
    return server.url("postgres", "postgres")


@pytest.fixture
def project_directory(tmp_path: Path) -> Iterator[Path]:
    """A folder for a project with an embedded server, which is stopped afterwards."""
    embedded = pytest.importorskip("pgflow.embedded")
    yield tmp_path
    embedded.stop(tmp_path)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Lets a test configure logging, and puts back what was there before; nothing is logged unless it does."""
    root, ours = logging.getLogger(), logging.getLogger("pgflow")
    handlers, level = root.handlers[:], ours.level
    root.handlers.clear()
    _log_no_events()
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)
    _log_no_events()


def _log_no_events() -> None:
    """Take back what a worker that ran in this process has attached, maybe in another test."""
    telemetry.detach("pgflow.logs")
    telemetry.detach("pgflow.logs.context")


class _Reopened:
    """A connection that is opened again where a test has closed or lost it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: psycopg.Connection[DictRow] | None = None

    def get(self) -> psycopg.Connection[DictRow]:
        if self.connection is None or self.connection.closed:
            # `discard all` drops prepared statements behind the back of psycopg, so it mustn't prepare any.
            self.connection = psycopg.connect(self.url, row_factory=dict_row, prepare_threshold=None)
        return self.connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


def _database(server: Server, template: str | None) -> Iterator[str]:
    name = server.create_database(template)
    yield server.url(name)
    server.drop_database(name)


def as_superuser(url: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect to the database of an app's URL as the superuser."""
    return psycopg.connect(url.replace("//app@", "//postgres@"), **options)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted about themselves, wherever they ran."""
    for report in terminalreporter.stats.get("", []):
        for name, text in getattr(report, "user_properties", []):
            if name == "statistics" and report.when == "teardown":
                terminalreporter.section(report.nodeid, "-")
                terminalreporter.write_line(str(text))
