"""What starters and workers may do, and what they can't bring functions to do that run with the rights of the owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.errors import UniqueViolation

from roles import granted_role
from servers import Server
from sql.engine import Connection, connect, define, refused, row, rows, start, value
from sql.rights import FUNCTIONS, ROLES, functions

INSUFFICIENT_PRIVILEGE = "42501"
NO_REPORTS = "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'"


@pytest.fixture(scope="module")
def database(server: Server, template: str) -> Iterator[str]:
    """The name of a migrated database with flows that the owner has defined, and a queue that isn't a flow's."""
    name = server.create_database(template)
    with connect(server.url(name), autocommit=True) as owner:
        define(owner, "a", "b < a")
        owner.execute("select pgmq.create('letters'), pgmq.send('letters', '{\"secret\": true}')")
    yield name
    server.drop_database(name)


@pytest.fixture(scope="module")
def urls(server: Server, database: str) -> Iterator[dict[str, str]]:
    """The URL for each role."""
    with granted_role(server, database, "starter") as starter, granted_role(server, database, "worker") as worker:
        yield {"starter": starter, "worker": worker}


@pytest.fixture
def owner(server: Server, database: str) -> Iterator[Connection]:
    """A connection of the role that has installed the schema; what it starts stays."""
    with connect(server.url(database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def session(urls: dict[str, str], role: str) -> Iterator[Connection]:
    """A connection of the role that the test is for, in a transaction that is rolled back."""
    with connect(urls[role]) as connection:
        yield connection
        connection.rollback()


def start_one(connection: Connection, run_id: UUID | None = None) -> UUID:
    query = "select run_id from pgflow.start_flows('flow', array['{}'::jsonb], %s::uuid[])"
    found = value(connection, query, [run_id or uuid4()])
    assert isinstance(found, UUID)
    return found


# What they have rights on


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_call_what_it_was_granted_and_nothing_else(owner: Connection, urls: Any, role: str) -> None:
    callable_ = f"select signature from ({FUNCTIONS}) as f where has_function_privilege(%s, signature, 'execute')"
    granted = {found["signature"] for found in functions(owner, role)}
    assert {found["signature"] for found in rows(owner, callable_, role)} == granted


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_no_right_on_a_table_but_to_see_the_migrations(owner: Connection, urls: Any, role: str) -> None:
    rights = """
        select c.oid::regclass::text as relation, a.right
        from pg_class c
        cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as a ("right")
        where c.relnamespace in ('pgflow'::regnamespace, 'pgmq'::regnamespace) and c.relkind in ('r', 'v', 'p')
          and has_table_privilege(%s, c.oid, a.right)
    """
    assert rows(owner, rights, role) == [{"relation": "pgflow.migrations", "right": "select"}]
    assert not value(owner, "select has_schema_privilege(%s, 'pgmq', 'usage')", role)
    assert not value(owner, "select has_schema_privilege(%s, 'pgflow', 'create')", role)


# What they can do


@pytest.mark.parametrize("role", ROLES)
def test_a_run_can_be_started_and_looked_at(session: Connection) -> None:
    run_id = start_one(session)
    assert value(session, "select status from pgflow.get_run(%s)", run_id) == "started"
    assert value(session, "select pgflow.get_flow_input(%s)", run_id) == {}
    assert value(session, "select pgflow.get_step_output(%s, 'a')", run_id) is None
    assert value(session, "select queued_count from pgflow.get_step_progress(%s)", run_id) == 1
    seen = value(session, "select pgflow.get_run_with_states(%s)", run_id)
    assert [step["status"] for step in seen["steps"]] == ["started", "created"]


@pytest.mark.parametrize("role", ROLES)
def test_a_run_is_started_once_and_found_by_its_key(session: Connection) -> None:
    query = "select run_id from pgflow.start_runs('flow', array['{}'::jsonb], array['order 7'], array['nightly'])"
    run_id = value(session, query)
    assert value(session, query) == run_id
    assert value(session, "select run_id from pgflow.get_run_by_key('flow', 'order 7')") == run_id
    assert value(session, "select pgflow.get_run_tags(%s)", run_id) == ["nightly"]


@pytest.mark.parametrize("role", ROLES)
def test_a_starter_can_ask_to_be_told_of_changes(session: Connection) -> None:
    session.execute("listen pgflow_runs")
    session.execute("select pgflow.register_listener(%s, 'runs')", [uuid4()])
    start_one(session)
    session.commit()
    assert [notification.channel for notification in session.notifies(timeout=10, stop_after=1)] == ["pgflow_runs"]


@pytest.mark.parametrize("role", ["worker"])
def test_a_worker_can_work_a_run_to_its_end(session: Connection) -> None:
    run_id = start_one(session)
    work(session)
    assert value(session, "select status from pgflow.get_run(%s)", run_id) == "completed"


def work(session: Connection) -> None:
    """Do what a worker does, for both steps."""
    worker_id = uuid4()
    session.execute("select pgflow.register_worker(%s, 'flow', 'tests')", [worker_id])
    for _ in range(2):
        tasks = rows(session, "select * from pgflow.fetch_tasks('flow', %s, 100)", worker_id)
        assert tasks
        for task in tasks:
            query = "select pgflow.complete_tasks(array[%s], array[%s], array[%s], array[%s::jsonb], array[%s])"
            key = (task["run_id"], task["step_slug"], task["task_index"])
            assert value(session, query, *key, "1", task["attempt"]) == [1]
    session.execute("select pgflow.keep_alive(array[%s], array['flow'], 'tests', p_recover => true)", [worker_id])
    session.execute("select pgflow.stop_workers(array[%s])", [worker_id])


@pytest.mark.parametrize("role", ["worker"])
@pytest.mark.parametrize(
    ("flow", "shape", "status"),
    [
        ("flow", '{"steps": [{"slug": "a"}, {"slug": "b", "dependencies": ["a"]}]}', "verified"),
        ("flow", '{"steps": [{"slug": "a"}, {"slug": "b"}]}', "mismatch"),
        ("unknown", '{"steps": []}', "missing"),
    ],
)
def test_a_worker_can_compare_what_it_knows_with_the_definition(
    session: Connection, flow: str, shape: str, status: str
) -> None:
    compared = value(session, "select pgflow.compare_flow(%s, %s::jsonb)", flow, shape)
    assert compared["status"] == status
    assert bool(compared["differences"]) == (status == "mismatch")


# What they can't do

FORBIDDEN_TO_ALL = [
    "select * from pgflow.runs",
    "select * from pgflow.step_states",
    "select * from pgflow.step_tasks",
    "select * from pgflow.flows",
    "select * from pgflow.listeners",
    "select * from pgflow.run_keys",
    "select * from pgflow.run_tags",
    "select * from pgflow.list_runs(p_tags => array['nightly'])",
    "select pgflow.count_runs(p_tags => array['nightly'])",
    "insert into pgflow.flows (flow_slug) values ('mine')",
    "update pgflow.flows set opt_max_attempts = 100",
    "update pgflow.steps set when_exhausted = 'skip'",
    "delete from pgflow.runs",
    "truncate pgflow.step_tasks",
    "update pgflow.migrations set checksum = ''",
    "delete from pgflow.migrations",
    "drop table pgflow.runs cascade",
    "drop function pgflow.start_flows",
    "alter table pgflow.runs disable trigger all",
    "create table pgflow.mine ()",
    "create function pgflow.start_flows(text, text[]) returns int language sql as 'select 1'",
    "create function pgflow._now(int) returns timestamptz language sql as 'select now()'",
    "create trigger mine before insert on pgflow.runs execute function tsvector_update_trigger()",
    "create schema realtime",
    "select pgflow.create_flow('mine')",
    "select pgflow.add_step('flow', 'mine')",
    "select pgflow.ensure_flow_compiled('flow', '{}', true)",
    "select pgflow.set_flow_type('flow', 'job')",
    "select pgflow.delete_flow_and_data('flow')",
    "select pgflow.prune_data_older_than('0 seconds')",
    "select * from pgflow.prune_data_older_than('0 seconds', null)",
    "select pgflow.start_flow('flow', '{}')",
    "select pgflow.set_vt_batch('letters', array[1], array[0])",
    "select pgflow._claim_keys('flow', array['k'], array[gen_random_uuid()])",
    "select pgflow._tag_runs(array[gen_random_uuid()], array['x'])",
    "select pgflow._start_flows('flow', array['{}'::jsonb], array[gen_random_uuid()])",
    "select pgflow._create_flow_from_shape('mine', '{}')",
    "select pgflow._fail_runs(array[gen_random_uuid()], array['a'], array['boom'])",
    "select pgflow._archive_messages(array['letters'], array[1])",
    "select pgflow._emit_event('{}', 'run:completed', 'pgflow:run:mine')",
    "select pgflow.grant_worker(current_user::name)",
    "select pgflow._grant_functions(current_user::name, 'worker')",
    "grant execute on all functions in schema pgflow to public",
    "select * from pgmq.read('letters', 0, 1)",
    "select * from pgmq.q_letters",
    "select pgmq.drop_queue('letters')",
    "delete from pgmq.q_flow",
]
FORBIDDEN_TO_STARTERS = [
    "select * from pgflow.fetch_tasks('flow', gen_random_uuid(), 1)",
    "select pgflow.complete_tasks('{}', '{}', '{}', '{}', '{}')",
    "select pgflow.fail_tasks('{}', '{}', '{}', '{}', '{}')",
    "select pgflow.release_tasks('{}', '{}', '{}', '{}')",
    "select pgflow.release_lost_tasks('{}', '{}', '{}', '{}', '{}')",
    f"select pgflow.exchange_tasks({NO_REPORTS}, array['flow'], array[gen_random_uuid()], 1)",
    "select pgflow.register_worker(gen_random_uuid(), 'flow', 'mine')",
    "select pgflow.keep_alive('{}', '{}', 'mine')",
    "select pgflow.extend_leases('{}', '{}', '{}', '{}')",
    "select * from pgflow.get_queue_depths(array['flow'])",
    "select pgflow.recover_tasks()",
    "select pgflow.stop_workers('{}')",
    "select pgflow.requeue_stalled_tasks()",
    "select pgflow.fail_stalled_tasks()",
    "select pgflow.flow_exists('flow')",
    "select pgflow.compare_flow('flow', '{}')",
]
FORBIDDEN = [(role, statement) for role in ROLES for statement in FORBIDDEN_TO_ALL] + [
    ("starter", statement) for statement in FORBIDDEN_TO_STARTERS
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
def test_everything_else_is_refused(session: Connection, statement: str) -> None:
    with refused(session, INSUFFICIENT_PRIVILEGE):
        session.execute(statement)


@pytest.mark.parametrize("role", ROLES)
def test_types_and_tables_of_a_caller_don_t_take_the_place_of_the_system_s(session: Connection, role: str) -> None:
    """Checks of such types, and what stands in such tables, would be run and read with the rights of the owner."""
    session.execute("create temp table witnesses (name pg_catalog.text, shadowed pg_catalog.text)")
    session.execute("grant all on witnesses to public")
    for shadowed in ("uuid", "text", "jsonb", "timestamptz", "tid", "regclass", "name"):
        session.execute(f"""
            create function pg_temp.witness(pg_catalog.{shadowed}) returns boolean language plpgsql
            as $$ begin insert into pg_temp.witnesses values (current_user, '{shadowed}'); return true; end $$
        """)
        session.execute(f"create domain pg_temp.{shadowed} as pg_catalog.{shadowed} check (pg_temp.witness(value))")
    for table in ("runs", "steps", "step_states", "step_tasks", "run_keys", "run_tags", "pg_proc", "pg_roles"):
        session.execute(f"create temp table {table} (id int)")
    run_id = value(session, "select run_id from pgflow.start_flows('flow', array['{}'::pg_catalog.jsonb])")
    for look in ("get_run", "get_run_with_states", "get_step_progress", "get_flow_input"):
        assert rows(session, f"select * from pgflow.{look}(%s::pg_catalog.uuid)", run_id)
    if role == "worker":
        session.execute("select pgflow.compare_flow('flow', '{\"steps\": []}')")
        session.execute("select pgflow.register_worker(%s::pg_catalog.uuid, 'flow', 'tests')", [run_id])
        session.execute("select * from pgflow.fetch_tasks('flow', %s::pg_catalog.uuid, 100)", [run_id])
        session.execute(
            "select pgflow.fail_tasks(array[%s::pg_catalog.uuid], array['a'], array[0], array['boom'], array[1])",
            [run_id],
        )
        session.execute(
            "select pgflow.extend_leases(array[%s::pg_catalog.uuid], array['a'], array[0], array[1])", [run_id]
        )
        session.execute("select pgflow.keep_alive('{}', '{}', 'tests', p_recover => true)")
        session.execute("select pgflow.requeue_stalled_tasks(), pgflow.fail_stalled_tasks()")
    assert rows(session, "select * from witnesses") == []


@pytest.mark.parametrize("role", ["worker"])
@pytest.mark.parametrize("name", ["letters", "LETTERS", "letters; drop table pgflow.runs", '"', "q_letters", ""])
def test_a_worker_reads_no_queue_that_is_not_a_flow_s(owner: Connection, session: Connection, name: str) -> None:
    before = row(owner, "select * from pgmq.q_letters")
    worker_id = uuid4()
    session.execute("select pgflow.register_worker(%s, 'letters', 'tests')", [worker_id])
    assert rows(session, "select * from pgflow.fetch_tasks(%s, %s, 10)", name, worker_id) == []
    query = f"select tasks, pause from pgflow.exchange_tasks({NO_REPORTS}, array[%s], array[%s], 10)"
    assert row(session, query, name, worker_id) == {"tasks": None, "pause": None}
    session.commit()
    assert row(owner, "select * from pgmq.q_letters") == before


@pytest.mark.parametrize("role", ROLES)
def test_the_runs_of_others_can_t_be_found_without_their_ids(owner: Connection, session: Connection) -> None:
    run_id = start(owner, {"secret": True})
    assert rows(session, "select * from pgflow.get_run(%s)", uuid4()) == []
    assert value(session, "select pgflow.get_run_with_states(%s)", uuid4()) is None
    with pytest.raises(UniqueViolation) as caught:
        start_one(session, run_id)
    assert "secret" not in f"{caught.value} {caught.value.diag.message_detail}"
