"""Whether a database is ready, on databases that are and on others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pgflow import Flow, NotGranted, NotInstalled, PgFlow, SchemaError, checks
from pgflow.checks import Check, Facts, check_database, judge, measured_skew, require_worker
from pooler import PROGRAM, Pooler
from roles import granted_role
from servers import Server

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def by_name(url: str) -> dict[str, Check]:
    return {check.name: check for check in check_database(url)}


def statuses(url: str) -> dict[str, str]:
    return {name: check.status for name, check in by_name(url).items()}


def database_of(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


def facts(**changes: Any) -> Facts:
    known: dict[str, Any] = {
        "server_version": "18.0",
        "server_major": 18,
        "role": "app",
        "is_read_only": False,
        "clock": NOON,
        "pgmq_attributes": frozenset({"headers"}),
        "pgmq_version": None,
        "owner": "app",
        "is_owner": True,
        "refused": frozenset(),
    }
    return Facts(**{**known, **changes})


def test_all_is_well_in_a_migrated_database(database_url: str) -> None:
    assert set(statuses(database_url).values()) == {"ok"}
    assert list(by_name(database_url)) == ["connection", "versions", "pgmq", "schema", "role", "clock", "pooler"]


def test_looking_changes_nothing_and_needs_nothing(empty_database_url: str) -> None:
    found = by_name(empty_database_url)
    assert found["pgmq"].status == found["schema"].status == "failed"
    assert found["schema"].remedy == "run `pgflow migrate`"
    assert "role" not in found
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select from pg_namespace where nspname in ('pgflow', 'pgmq')").fetchall() == []


def test_a_newer_schema_asks_for_a_newer_package(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into pgflow.migrations (version, name, checksum) values (9999, 'future', 'x')")
    assert "pip install -U pgflow-py" in str(by_name(database_url)["schema"])


def test_a_database_without_pgmq_is_told(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema pgmq cascade")
    assert str(by_name(database_url)["pgmq"]) == (
        "pgmq isn't in this database; run `pgflow migrate`, which installs it"
    )


def test_a_server_that_is_down_is_one_finding() -> None:
    (check,) = check_database("postgresql://me:s3cret@127.0.0.1:1/app")
    assert (check.name, check.status) == ("connection", "failed")
    assert "s3cret" not in str(check)


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "postgresql://a\0b", "postgresql://ü..b/x"])
def test_what_is_no_url_is_one_finding(url: str) -> None:
    (check,) = check_database(url)
    assert (check.name, check.status) == ("connection", "failed")


@pytest.mark.parametrize(
    ("kind", "status", "words"), [("worker", "ok", "is a worker"), ("starter", "warning", "starter")]
)
def test_granted_roles_are_told_apart(newest_server: Server, newest_database_url: str, kind, status, words) -> None:
    with granted_role(newest_server, database_of(newest_database_url), kind) as url:
        check = by_name(url)["role"]
    assert check.status == status
    assert words in check.message


def test_a_role_without_rights_reads_who_can_give_them(newest_server: Server, newest_database_url: str) -> None:
    with newest_server.superuser() as superuser:
        superuser.execute('create role "o\'neill" login')
    try:
        url = newest_server.url(database_of(newest_database_url), "o'neill")
        found = by_name(url)
    finally:
        with newest_server.superuser() as superuser:
            superuser.execute('drop role "o\'neill"')
    assert found["role"].status == found["schema"].status == "failed"
    assert found["role"].remedy == "as app run: select pgflow.grant_worker('o''neill')"


def test_the_remedy_for_a_role_is_a_statement_that_works(newest_server: Server, newest_database_url: str) -> None:
    with granted_role(newest_server, database_of(newest_database_url), "starter") as url:
        remedy = by_name(url)["role"].remedy
        assert remedy is not None
        with psycopg.connect(newest_database_url) as owner:
            owner.execute(remedy.partition(" run: ")[2].encode())
        assert by_name(url)["role"].status == "ok"


def test_what_is_looked_for_is_what_is_granted(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for kind, functions in (("starter", checks.STARTER_FUNCTIONS), ("worker", checks.WORKER_FUNCTIONS)):
            rows = connection.execute("select split_part(f::text, '(', 1) from pgflow._functions_of_role(%s) f", [kind])
            assert {f"pgflow.{name}" for name in functions} <= {name for (name,) in rows}


def test_a_session_that_may_only_read_is_sent_to_the_primary(newest_database_url: str) -> None:
    with psycopg.connect(newest_database_url, autocommit=True) as connection:
        name = database_of(newest_database_url)
        connection.execute(f"alter database {name} set default_transaction_read_only = on".encode())
    assert by_name(newest_database_url)["versions"].remedy == "connect to the primary, in a session that may write"


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize(("mode", "words"), [("transaction", "in transaction mode"), ("session", "keep sessions")])
def test_a_pooler_and_its_mode_are_noticed(newest_server: Server, newest_database_url: str, mode, words) -> None:
    with Pooler(newest_server, mode) as pooler:
        found = by_name(pooler.url(database_of(newest_database_url)))
    assert found["pooler"].status == "warning"
    assert words in found["pooler"].message
    assert "listen_url" in str(found["pooler"].remedy)


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [(NOON, 0), (NOON + SECOND, 0), (NOON + 9 * SECOND, 8), (NOON - 9 * SECOND, -9)],
)
def test_a_skew_is_what_the_time_of_the_question_does_not_explain(clock: datetime, seconds: int) -> None:
    assert measured_skew(clock, NOON, NOON + SECOND) == seconds * SECOND


@pytest.mark.parametrize(("seconds", "words"), [(3600, "3,600 s ahead of"), (-7, "7 s behind")])
def test_clocks_that_disagree_are_a_warning(seconds: int, words: str) -> None:
    (clock,) = (check for check in judge(facts(), skew=seconds * SECOND) if check.name == "clock")
    assert clock.status == "warning"
    assert words in clock.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server_major": 14}, "use a server from PostgreSQL 15 on"),
        ({"pgmq_attributes": frozenset({"msg_id"})}, "ALTER EXTENSION pgmq UPDATE"),
    ],
)
def test_what_is_too_old_is_to_be_updated(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        require_worker(facts(**changes), NOON, NOON)


def test_a_worker_warns_of_clocks_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    require_worker(facts(), NOON + 60 * SECOND, NOON + 60 * SECOND)
    assert [record.getMessage() for record in caplog.records] == [
        "the database's clock is 60 s behind this machine's; set both by a time server (NTP); times are the database's"
    ]


@pytest.fixture
def greeting() -> Flow:
    flow = Flow("greeting")

    @flow.step
    def greet(name: str) -> str:
        return name

    return flow


async def test_a_worker_refuses_to_start_as_a_starter(newest_server, newest_database_url, greeting) -> None:
    with granted_role(newest_server, database_of(newest_database_url), "starter") as url:
        async with PgFlow(url, flows=[greeting]) as app:
            with pytest.raises(
                NotGranted, match=r"starter may only start runs.* select pgflow.grant_worker\('starter'\)"
            ):
                await app.start_worker()


async def test_a_worker_refuses_to_start_without_pgmq_and_registers_nothing(newest_database_url, greeting) -> None:
    with psycopg.connect(newest_database_url) as connection:
        connection.execute("drop schema pgmq cascade")
    async with PgFlow(newest_database_url, flows=[greeting]) as app:
        with pytest.raises(NotInstalled, match="pgmq isn't in this database; run `pgflow migrate`"):
            await app.start_worker()
        assert await app.list_flows() == []
