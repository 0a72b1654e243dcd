"""`pgflow migrate --adopt` on a database of the reference: it only adds, and what it added can be removed."""

from __future__ import annotations

import asyncio
import subprocess

import psycopg
import pytest

from interop.core.flows import chain
from interop.core.schema import install_reference
from pgflow import PgFlow, reference, schema
from pgflow.errors import NotInstalled, SchemaError, TooOld
from servers import DEBIAN_SERVERS, Server
from worker.running import DEADLINE_SECONDS, query, working

PG_DUMP = DEBIAN_SERVERS / "15" / "bin" / "pg_dump"


@pytest.mark.compatible("reference schema", "pgflow migrate --adopt")
def test_a_dump_shows_only_additions_and_none_after_removal(dumped_url: str):
    before = dump(dumped_url)
    added = adopt(dumped_url)
    adopted = dump(dumped_url)
    assert before < adopted
    assert {statement for statement in adopted - before if "CREATE" in statement}
    assert all("pgflow." in statement for statement in adopted - before)
    assert len([s for s in adopted - before if s.startswith("CREATE FUNCTION")]) == len(added.signatures)
    remove(dumped_url)
    assert dump(dumped_url) == before


@pytest.mark.compatible("reference schema", "pgflow migrate --adopt")
async def test_runs_go_on_through_adoption_and_removal(reference_url: str):
    flow = chain()
    async with PgFlow(reference_url) as app, working(app, flow):
        runs = await app.start_flows(flow, [{"number": 1}] * 20)
        await asyncio.to_thread(adopt, reference_url)
        async with PgFlow(reference_url) as other, working(other, flow):
            assert other.database.core is not None
            assert other.database.core.is_adopted
            runs += await other.start_flows(flow, [{"number": 1}] * 20)
            for run in runs:
                assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
        await asyncio.to_thread(remove, reference_url)
        run = await app.start_flow(flow, {"number": 1})
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"


async def test_a_worker_that_has_used_what_was_added_goes_on_when_it_is_removed(reference_url: str):
    flow = chain()
    adopt(reference_url)
    async with PgFlow(reference_url) as app, working(app, flow):
        first = await app.start_flow(flow, {"number": 1})
        assert (await first.wait(DEADLINE_SECONDS)).status == "completed"
        await asyncio.to_thread(remove, reference_url)
        second = await app.start_flow(flow, {"number": 1})
        assert (await second.wait(DEADLINE_SECONDS)).status == "completed"


@pytest.mark.compatible("reference schema", "pgflow migrate --adopt")
async def test_rows_of_runs_are_the_same_before_and_after(reference_url: str):
    async with PgFlow(reference_url) as app:
        await app.compile(chain())
        await app.start_flows("chain", [{"number": 1}] * 3)
    tables = ("flows", "steps", "deps", "runs", "step_states", "step_tasks", "workers")
    rows = {table: query(reference_url, f"select * from pgflow.{table} order by 1, 2, 3") for table in tables}
    messages = query(reference_url, "select * from pgmq.q_chain order by msg_id")
    adopt(reference_url)
    remove(reference_url)
    assert {table: query(reference_url, f"select * from pgflow.{table} order by 1, 2, 3") for table in tables} == rows
    assert query(reference_url, "select * from pgmq.q_chain order by msg_id") == messages


def test_adopting_twice_is_adopting_once(reference_url: str):
    first = adopt(reference_url)
    assert adopt(reference_url) == first
    assert query(reference_url, "select count(*) as count from pgflow.adopted_functions") == [
        {"count": len(first.signatures)}
    ]


def test_functions_that_are_there_already_are_left_alone_by_adoption_and_removal(reference_url: str):
    query(
        reference_url,
        "create function pgflow.flow_exists(p_flow_slug text) returns boolean language sql as 'select null::boolean'",
    )
    assert "pgflow.flow_exists(text)" not in adopt(reference_url).signatures
    remove(reference_url)
    assert query(reference_url, "select pgflow.flow_exists('any')") == [{"flow_exists": None}]


def test_two_that_adopt_at_once_add_everything_once(reference_url: str):
    with psycopg.connect(reference_url) as first, psycopg.connect(reference_url, autocommit=True) as second:
        with first.transaction():
            reference.adopt(first)
            second.execute("set lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                reference.adopt(second)
        second.execute("set lock_timeout = 0")
        reference.adopt(second)
    assert remove(reference_url).signatures


def test_adoption_that_is_interrupted_leaves_nothing(reference_url: str):
    connection = psycopg.connect(reference_url)
    connection.execute("select 1")
    reference.adopt(connection)
    connection.close()
    assert query(reference_url, "select to_regclass('pgflow.adopted_functions') as found") == [{"found": None}]


def test_nothing_can_be_removed_where_nothing_was_adopted(reference_url: str):
    with pytest.raises(SchemaError, match="nothing to remove"):
        remove(reference_url)


def test_a_schema_of_our_own_is_refused(database_url: str):
    with pytest.raises(SchemaError, match="made by `pgflow migrate`; there is nothing to adopt"):
        adopt(database_url)


def test_a_database_without_a_schema_is_refused(empty_database_url: str):
    with pytest.raises(NotInstalled, match="run `pgflow migrate`"):
        adopt(empty_database_url)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("20250429164910", "before 0.3.1; apply its migrations up to 0.8.0"),
        ("20250627090701", "before 0.6.0"),
        ("20250719205007", "before 0.7.0"),
    ],
)
def test_a_core_that_is_too_old_is_refused(empty_database_url: str, last: str, message: str):
    install_reference(empty_database_url, up_to=last)
    with pytest.raises(TooOld, match=message):
        adopt(empty_database_url)


async def test_clients_refuse_a_core_that_is_too_old(empty_database_url: str):
    install_reference(empty_database_url, up_to="20250429164910")
    with pytest.raises(TooOld, match="before 0\\.3\\.1"):
        await PgFlow(empty_database_url).open()


def test_migrating_a_database_of_the_reference_says_what_to_do(reference_url: str):
    with psycopg.connect(reference_url) as connection, pytest.raises(SchemaError, match="pgflow migrate --adopt"):
        schema.migrate(connection)


def test_printed_sql_does_what_adoption_does(newest_server: Server, npm_packages: None):
    name = newest_server.create_database()
    url = newest_server.url(name)
    install_reference(url)
    with psycopg.connect(url) as connection:
        connection.execute(reference.render().encode())
    printed = query(url, "select signature from pgflow.adopted_functions order by 1")
    remove(url)
    assert [row["signature"] for row in printed] == sorted(adopt(url).signatures)
    newest_server.drop_database(name)


def test_nobody_else_may_call_what_was_added(reference_url: str):
    adopt(reference_url)
    callable_by_all = query(
        reference_url,
        "select from pgflow.adopted_functions where has_function_privilege('pg_monitor', signature, 'execute')",
    )
    assert callable_by_all == []


@pytest.fixture
def dumped_url(reference_url: str) -> str:
    """A database of a server that the installed pg_dump is as new as."""
    if not PG_DUMP.exists() or "pg15" not in reference_url:
        pytest.skip("pg_dump of PostgreSQL 15 dumps databases of that version only")
    return reference_url


def dump(url: str) -> set[str]:
    """Return the statements that make the schema of a database."""
    ended = subprocess.run([PG_DUMP, "--schema-only", url], capture_output=True, text=True, check=True)
    lines = [line for line in ended.stdout.splitlines() if not line.startswith(("SET ", "\\", "-- PostgreSQL"))]
    parts = "\n".join(lines).split("\n--\n-- Name: ")
    return {part.split("\n--\n", 1)[1].strip().removesuffix("--").strip() for part in parts[1:]}


def adopt(url: str) -> reference.Adoption:
    with psycopg.connect(url) as connection:
        return reference.adopt(connection)


def remove(url: str) -> reference.Adoption:
    with psycopg.connect(url) as connection:
        return reference.remove(connection)
