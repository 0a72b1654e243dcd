"""What the tables of runs, step states and tasks accept: the state machines, as constraints."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from pgflow import RunStatus, StepStatus, TaskStatus
from sql.engine import UNKNOWN, Connection, Row, add_step, claim, define, refused, row, start, value

CHECK, FOREIGN_KEY, UNIQUE = "23514", "23503", "23505"
EARLIER = "now() - interval '1 day'"

pytestmark = pytest.mark.breaks_invariants


@pytest.fixture
def started(connection: Connection) -> Connection:
    """A run whose step `a` has started, with its one task."""
    define(connection, "a")
    start(connection)
    return connection


def assert_refused(connection: Connection, table: str, constraint: str, change: str) -> None:
    with refused(connection, CHECK, f'new row for relation "{table}" violates check constraint "{constraint}"'):
        connection.execute(f"update pgflow.{table} set {change}")


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("status_is_valid", "status = 'created'"),
        ("runs_remaining_steps_check", "remaining_steps = -1"),
        ("completed_at_or_failed_at", "completed_at = now(), failed_at = now()"),
        ("completed_at_is_after_started_at", f"completed_at = {EARLIER}"),
        ("failed_at_is_after_started_at", f"failed_at = {EARLIER}"),
    ],
)
def test_a_run_obeys(started: Connection, constraint: str, change: str) -> None:
    assert_refused(started, "runs", constraint, change)


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("status_is_valid", "status = 'queued'"),
        ("status_and_remaining_tasks_match", "status = 'completed', remaining_tasks = 1"),
        ("remaining_tasks_state_consistency", "status = 'created', remaining_tasks = 1"),
        ("remaining_tasks_state_consistency", "status = 'skipped', skip_reason = 'x', remaining_tasks = 1"),
        ("initial_tasks_known_when_started", "initial_tasks = null"),
        ("output_only_for_completed_or_null", "output = '1'"),
        ("skip_reason_matches_status", "status = 'skipped', remaining_tasks = null"),
        ("skip_reason_matches_status", "skip_reason = 'condition_unmet'"),
        ("completed_at_or_failed_at_or_skipped_at", "completed_at = now(), failed_at = now()"),
        ("completed_at_or_failed_at_or_skipped_at", "completed_at = now(), skipped_at = now()"),
        ("completed_at_or_failed_at_or_skipped_at", "failed_at = now(), skipped_at = now()"),
        ("started_at_is_after_created_at", f"started_at = {EARLIER}"),
        ("completed_at_is_after_started_at", f"completed_at = {EARLIER}"),
        ("failed_at_is_after_started_at", f"failed_at = {EARLIER}"),
        ("skipped_at_is_after_created_at", f"skipped_at = {EARLIER}"),
        ("step_states_initial_tasks_check", "initial_tasks = -1"),
        ("step_states_remaining_deps_check", "remaining_deps = -1"),
    ],
)
def test_a_step_state_obeys(started: Connection, constraint: str, change: str) -> None:
    assert_refused(started, "step_states", constraint, change)


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("valid_status", "status = 'skipped'"),
        ("output_valid_only_for_completed", "output = '1'"),
        ("attempts_count_nonnegative", "attempts_count = -1"),
        ("earlier_attempts_were_made", "attempts_before_retry = -1"),
        ("earlier_attempts_were_made", "attempts_before_retry = attempts_count + 1"),
        ("completed_at_or_failed_at", "completed_at = now(), failed_at = now()"),
        ("completed_at_is_after_queued_at", f"completed_at = {EARLIER}"),
        ("failed_at_is_after_queued_at", f"failed_at = {EARLIER}"),
        ("started_at_is_after_queued_at", f"started_at = {EARLIER}"),
        ("completed_at_is_after_started_at", "started_at = now() + interval '1 day', completed_at = now()"),
        ("failed_at_is_after_started_at", "started_at = now() + interval '1 day', failed_at = now()"),
    ],
)
def test_a_task_obeys(started: Connection, constraint: str, change: str) -> None:
    assert_refused(started, "step_tasks", constraint, change)


@pytest.mark.feature("A4.18")
@pytest.mark.parametrize(
    ("table", "statuses"), [("runs", RunStatus), ("step_states", StepStatus), ("step_tasks", TaskStatus)]
)
def test_the_statuses_are_those_that_the_package_names(
    connection: Connection, table: str, statuses: type[StrEnum]
) -> None:
    query = """
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = %s::text::regclass and conname in ('status_is_valid', 'valid_status')
    """
    assert set(re.findall(r"'(\w+)'", value(connection, query, f"pgflow.{table}"))) == set(statuses)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("runs", "started_at = now(), completed_at = now()"),
        ("runs", "started_at = now(), failed_at = now()"),
        ("runs", "status = 'failed', failed_at = now()"),
        ("step_states", "created_at = now(), started_at = now(), skipped_at = now()"),
        ("step_states", "started_at = null, completed_at = now()"),
        ("step_states", "started_at = null, failed_at = now()"),
        ("step_states", "remaining_tasks = null"),
        ("step_states", "status = 'completed', remaining_tasks = 0, completed_at = now(), output = null"),
        ("step_states", "status = 'completed', remaining_tasks = 0, completed_at = now(), output = '[1]'"),
        ("step_states", "status = 'skipped', remaining_tasks = null, skip_reason = 'preexisting_skip'"),
        ("step_tasks", "queued_at = now(), started_at = now(), completed_at = now()"),
        ("step_tasks", "status = 'failed', output = '{}'"),
        ("step_tasks", "status = 'queued', started_at = null, attempts_count = 0"),
        ("step_tasks", "status = 'started', started_at = now(), message_id = null"),
        ("step_tasks", f"queued_at = {EARLIER}, started_at = {EARLIER}"),
    ],
)
def test_a_row_edited_by_hand_is_accepted(started: Connection, table: str, change: str) -> None:
    assert started.execute(f"update pgflow.{table} set {change}").rowcount == 1


@pytest.mark.parametrize(
    ("sqlstate", "constraint", "insertion"),
    [
        (UNIQUE, "runs_pkey", "runs select * from pgflow.runs"),
        (FOREIGN_KEY, "runs_flow_slug_fkey", "runs (flow_slug, input) values ('other', '1')"),
        (UNIQUE, "step_states_pkey", "step_states select * from pgflow.step_states"),
        (UNIQUE, "step_tasks_pkey", "step_tasks select * from pgflow.step_tasks"),
    ],
)
def test_a_row_is_refused_by(started: Connection, sqlstate: str, constraint: str, insertion: str) -> None:
    with refused(started, sqlstate, f'constraint "{constraint}"'):
        started.execute(f"insert into pgflow.{insertion}")


def test_a_state_of_an_unknown_run_is_refused(started: Connection) -> None:
    query = "insert into pgflow.step_states (flow_slug, run_id, step_slug) values ('flow', %s, 'a')"
    with refused(started, FOREIGN_KEY, "step_states_run_id_fkey"):
        started.execute(query, (UNKNOWN,))


@pytest.mark.feature("A5.3")
@pytest.mark.parametrize("table", ["step_states", "step_tasks"])
def test_a_row_of_an_unknown_step_is_refused(started: Connection, table: str) -> None:
    query = f"insert into pgflow.{table} (flow_slug, run_id, step_slug) select 'flow', run_id, 'x' from pgflow.runs"
    with refused(started, FOREIGN_KEY, table):
        started.execute(query)


def test_a_task_refers_to_a_worker_that_exists(started: Connection) -> None:
    with refused(started, FOREIGN_KEY, "step_tasks_last_worker_id_fkey"):
        started.execute("update pgflow.step_tasks set last_worker_id = %s", (UNKNOWN,))


def test_deleting_a_worker_leaves_its_tasks(started: Connection) -> None:
    claim(started)
    started.execute("delete from pgflow.workers")
    assert value(started, "select last_worker_id from pgflow.step_tasks") is None


@pytest.mark.parametrize("table", ["runs", "step_states"])
def test_what_others_refer_to_is_not_deleted_with_them(started: Connection, table: str) -> None:
    with refused(started, FOREIGN_KEY):
        started.execute(f"delete from pgflow.{table}")


@pytest.mark.feature("A5.3")
@pytest.mark.parametrize(
    ("table", "defaults"),
    [
        ("runs", {"status": "started", "output": None, "remaining_steps": 0, "completed_at": None, "failed_at": None}),
        ("step_states", {"status": "created", "remaining_tasks": None, "initial_tasks": None, "remaining_deps": 0}),
        ("step_tasks", {"status": "queued", "task_index": 1, "attempts_count": 0, "requeued_count": 0}),
    ],
)
def test_a_new_row_has_defaults(started: Connection, table: str, defaults: Row) -> None:
    add_step(started, "b")
    inserted = row(
        started,
        {
            "runs": "insert into pgflow.runs (flow_slug, input) values ('flow', 'null') returning *",
            "step_states": """
            insert into pgflow.step_states (flow_slug, run_id, step_slug)
            select flow_slug, run_id, 'b' from pgflow.runs returning *""",
            "step_tasks": """
            insert into pgflow.step_tasks (flow_slug, run_id, step_slug, task_index)
            select flow_slug, run_id, 'a', 1 from pgflow.runs returning *""",
        }[table],
    )
    assert {name: inserted[name] for name in defaults} == defaults


def test_initial_tasks_known_when_started_is_in_the_information_schema(connection: Connection) -> None:
    query = """
        select count(*) from information_schema.check_constraints
        where constraint_schema = 'pgflow' and constraint_name = 'initial_tasks_known_when_started'
    """
    assert value(connection, query) == 1


def test_a_task_record_has_its_attributes_in_order(connection: Connection) -> None:
    query = """
        select array_agg(format('%s %s', attname, format_type(atttypid, atttypmod)) order by attnum)
        from pg_attribute where attrelid = 'pgflow.step_task_record'::regclass and attnum > 0
    """
    assert value(connection, query) == [
        "flow_slug text",
        "run_id uuid",
        "step_slug text",
        "input jsonb",
        "msg_id bigint",
        "task_index integer",
        "flow_input jsonb",
    ]
