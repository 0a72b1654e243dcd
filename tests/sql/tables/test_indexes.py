"""Every index costs each insert: those of the tables that grow are listed here with the query that needs them."""

from __future__ import annotations

import pytest

from sql.engine import FLOW, Connection, define, rows, value

NEEDED_FOR = {
    "runs_pkey": "select from pgflow.runs where run_id = '00000000-0000-0000-0000-00000000dead'",
    "runs_by_flow": """
        select from pgflow.runs where flow_slug = 'flow' and status = 'started' order by started_at desc, run_id desc
        limit 20
    """,
    "run_cancellations_pkey": (
        "select from pgflow.run_cancellations where run_id = '00000000-0000-0000-0000-00000000dead'"
    ),
    "run_keys_pkey": "select run_id from pgflow.run_keys where flow_slug = 'flow' and key = 'order 7'",
    "run_keys_run_id_key": "delete from pgflow.run_keys where run_id = '00000000-0000-0000-0000-00000000dead'",
    "run_tags_pkey": "select tag from pgflow.run_tags where run_id = '00000000-0000-0000-0000-00000000dead'",
    "run_tags_by_tag": """
        select run_id from pgflow.run_tags where tag = 'nightly' order by started_at desc, run_id desc limit 20
    """,
    "step_states_pkey": "select from pgflow.step_states where run_id = '00000000-0000-0000-0000-00000000dead'",
    "step_tasks_pkey": "select from pgflow.step_tasks where run_id = '00000000-0000-0000-0000-00000000dead'",
    "step_tasks_by_message": "select from pgflow.step_tasks where flow_slug = 'flow' and message_id = 7",
}

INDEXES = """
    select i.indexname from pg_indexes i
    where i.schemaname = 'pgflow'
      and i.tablename in ('runs', 'run_cancellations', 'run_keys', 'run_tags', 'step_states', 'step_tasks')
    order by i.indexname
"""


def test_no_index_is_there_without_a_reason(connection: Connection) -> None:
    assert [found["indexname"] for found in rows(connection, INDEXES)] == sorted(NEEDED_FOR)


@pytest.mark.parametrize("index", NEEDED_FOR)
def test_its_query_uses_it(connection: Connection, index: str) -> None:
    define(connection, "a")  # in an empty table, all indexes are equally good
    many = "select from pgflow.start_runs(%s, array_fill('1'::jsonb, array[500]), null, '{nightly}')"
    connection.execute(many, [FLOW])
    tables = "pgflow.runs, pgflow.run_tags, pgflow.step_states, pgflow.step_tasks"
    connection.execute(f"analyze {tables}")  # or the planner may take them for as empty as they were
    connection.execute("set local enable_seqscan = off")
    plan = rows(connection, f"explain {NEEDED_FOR[index]}")
    assert any(f" {index} " in line["QUERY PLAN"] for line in plan), plan


def test_updates_of_the_hot_path_stay_on_their_page(connection: Connection) -> None:
    """Status and timestamps of states and tasks are in no index, so PostgreSQL may update them in place."""
    indexed = value(
        connection,
        "select array_agg(distinct a.attname::text order by a.attname::text) from pg_index i"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)"
        " where i.indrelid in ('pgflow.step_states'::regclass, 'pgflow.step_tasks'::regclass)",
    )
    assert indexed == ["flow_slug", "message_id", "run_id", "step_slug", "task_index"]


def test_half_of_each_page_is_left_for_later_versions(connection: Connection) -> None:
    query = "select array_to_string(reloptions, ' ') from pg_class where oid = %s::regclass"
    for table in ("pgflow.step_states", "pgflow.step_tasks"):
        assert "fillfactor=50" in value(connection, query, table)


def test_queues_are_vacuumed_however_many_messages_wait(connection: Connection) -> None:
    define(connection, "a")
    query = "select array_to_string(reloptions, ' ') from pg_class where oid = 'pgmq.q_flow'::regclass"
    assert value(connection, query) == "autovacuum_vacuum_scale_factor=0 autovacuum_vacuum_threshold=5000"
