"""What the hot calls touch: never a whole table, and only as many rows and statements as the batch asks for.

Counted by PostgreSQL itself, in one transaction, on tables that are empty, large and unknown to the planner, large and
analyzed, large and taken for empty, or hold 200,000 tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from servers import Server
from sql.bulk import insert_runs
from sql.engine import WORKER, Connection, connect, define, register, rows, start

Counts: TypeAlias = Counter[tuple[str, str]]
"""Numbers by table and kind: scans and rows read, rows written."""

Call: TypeAlias = Callable[[Connection, int], None]
"""One of the hot calls, with a batch of so many tasks or runs."""

RUNS = 3000
ENDED = 1000
BATCH = 25
GROWING = {"runs", "run_cancellations", "step_states", "step_tasks", "run_keys", "run_tags", "q_flow", "a_flow"}

# Each item has a run, two steps and up to two tasks, which a dozen statements visit.
ROWS_PER_ITEM = 20


STATES = ["empty", "never_analyzed", "analyzed", "analyzed_too_early", "200_000_tasks"]


@pytest.fixture(scope="module", params=STATES)
def filled_url(server: Server, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The superuser's URL of a database with many runs or none; statistics stay as they are here."""
    name = server.create_database(template)
    with connect(server.url(name), autocommit=True) as connection:
        define(connection, "a", "b < a")
        define(connection, "m*", flow="big")
        register(connection)
        for table in ("runs", "step_states", "step_tasks", "run_keys", "run_tags"):
            connection.execute(f"alter table pgflow.{table} set (autovacuum_enabled = off)")
        for table in ("q_flow", "a_flow"):
            connection.execute(f"alter table pgmq.{table} set (autovacuum_enabled = off)")
        if request.param == "analyzed_too_early":
            analyze_before_commit(connection)
        if request.param == "200_000_tasks":
            with connect(server.url(name, "postgres"), autocommit=True) as superuser:
                insert_runs(superuser, 100_000)
                superuser.execute("vacuum analyze")
        elif request.param != "empty":
            start_runs(connection, RUNS)
            start_labelled_runs(connection, RUNS)
            finish_tasks(connection, ENDED)
        if request.param == "analyzed":
            connection.execute("vacuum analyze")
    yield server.url(name, "postgres")
    server.drop_database(name)


def analyze_before_commit(connection: Connection) -> None:
    """Leave the planner with tables that have pages and, as far as it knows, no rows.

    Not the queue: pgmq.read plans its own statements.
    """
    with connection.transaction(force_rollback=True):
        start_labelled_runs(connection, RUNS)
    connection.execute("analyze pgflow.runs, pgflow.step_states, pgflow.step_tasks, pgflow.run_keys, pgflow.run_tags")


@pytest.fixture
def session(filled_url: str) -> Iterator[Connection]:
    """A new session, which has planned nothing yet, in a transaction that counts calls and is rolled back."""
    with connect(filled_url) as connection:
        connection.execute("set track_functions to 'all'")
        connection.commit()
        connection.execute("create temp table mine (like pgflow.step_tasks) on commit drop")
        yield connection
        connection.rollback()


# The hot calls; each leaves the tasks it has started in the table `mine`


def start_runs(connection: Connection, count: int) -> None:
    query = "select count(*) from pgflow.start_flows('flow', array_fill('{}'::jsonb, array[%s::int]))"
    connection.execute(query, (count,))


def start_labelled_runs(connection: Connection, count: int) -> None:
    """Start runs with tags and keys, one in five of which is taken."""
    query = """
        select count(*)
        from pgflow.start_runs(
          'flow', array_fill('{}'::jsonb, array[%(count)s::int]),
          array(select case when n %% 5 = 0 then 'taken' else gen_random_uuid()::text end
                from generate_series(1, %(count)s) as n),
          array['nightly', 'import'])
    """
    connection.execute(query, {"count": count})


def fetch(connection: Connection, count: int, flow: str = "flow") -> None:
    connection.execute("select count(*) from pgflow.fetch_tasks(%s, %s, %s)", (flow, WORKER, count))


def choose(connection: Connection, count: int) -> None:
    """Put started tasks of step a or m, those behind which nothing has happened yet, into the table `mine`."""
    connection.execute("truncate mine")
    chosen = connection.execute(
        "insert into mine select * from pgflow.step_tasks where status = 'started' and step_slug in ('a', 'm')"
        " order by message_id limit %s",
        (count,),
    )
    assert chosen.rowcount == count


def complete(connection: Connection, count: int) -> None:
    connection.execute("""
        select pgflow.complete_tasks(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg('1'::jsonb),
          array_agg(attempts_count))
        from mine
    """)


def fail(connection: Connection, count: int) -> None:
    connection.execute("""
        select pgflow.fail_tasks(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg('boom'::text),
          array_agg(attempts_count))
        from mine
    """)


def exchange(connection: Connection, count: int) -> None:
    """Complete tasks and take as many others, those that this makes ready first."""
    connection.execute(
        """
        select pgflow.exchange_tasks(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg(attempts_count),
          array_agg('1'::jsonb), array_agg(null::text), array_agg(false), array_agg(null::int),
          array['flow', 'big'], array[%(worker)s, %(worker)s]::uuid[], count(*)::int)
        from mine
    """,
        {"worker": WORKER},
    )


def release(connection: Connection, count: int) -> None:
    connection.execute("""
        select pgflow.release_tasks(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg(attempts_count))
        from mine
    """)


def extend(connection: Connection, count: int) -> None:
    connection.execute("""
        select pgflow.extend_leases(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg(attempts_count))
        from mine
    """)


def cancel(connection: Connection, count: int) -> None:
    connection.execute("select count(*) from pgflow.cancel_runs((select array_agg(run_id) from mine))")


def retry(connection: Connection, count: int) -> None:
    connection.execute("select count(*) from pgflow.retry_runs((select array_agg(run_id) from mine))")


def read_ended(connection: Connection, count: int) -> None:
    """Read runs with their steps, all of which have ended."""
    query = "select run_with_states from pgflow.get_runs_if_ended((select array_agg(run_id) from mine))"
    assert sum(found["run_with_states"] is not None for found in rows(connection, query)) == count


def recover(connection: Connection, count: int) -> None:
    """Put tasks back that have stalled."""
    recovered = connection.execute("select requeued_count from pgflow.recover_tasks(%s)", (count,)).fetchone()
    assert recovered == {"requeued_count": count}


def prune(connection: Connection, count: int) -> None:
    connection.execute("select pgflow.prune_data_older_than('1 hour', null, %s)", (count,))


def finish_tasks(connection: Connection, count: int) -> None:
    """Start and complete so many tasks."""
    connection.execute(
        """
        select pgflow.complete_tasks(
          array_agg(run_id), array_agg(step_slug), array_agg(task_index), array_agg('1'::jsonb), array_agg(attempt))
        from pgflow.fetch_tasks('flow', %s, %s)
    """,
        (WORKER, count),
    )


CALLS: dict[str, Call] = {
    "start_flows": start_runs,
    "start_runs": start_labelled_runs,
    "fetch_tasks": fetch,
    "complete_tasks": complete,
    "fail_tasks": fail,
    "exchange_tasks": exchange,
    "release_tasks": release,
    "extend_leases": extend,
    "cancel_runs": cancel,
    "retry_runs": retry,
}

# Called with few runs, each of which is read by itself.
READS: dict[str, Call] = {"get_runs_if_ended": read_ended}

# They look at all runs that go on, or have ended.
MAINTENANCE: dict[str, Call] = {"recover_tasks": recover, "prune_data_older_than": prune}


def prepare(connection: Connection, call: Call, count: int) -> None:
    """Bring about what a call with a batch of this size needs."""
    if call not in (start_runs, start_labelled_runs):
        start_runs(connection, count)
    if call not in (start_runs, start_labelled_runs, fetch, prune):
        # Tasks of step b may come first.
        fetch(connection, 4 * count)
        choose(connection, count)
    if call in (retry, read_ended):
        cancel(connection, count)
    if call is recover:
        backdate(connection)


def backdate(connection: Connection) -> None:
    """Let the chosen tasks be long stalled."""
    connection.execute("""
        update pgflow.step_tasks t set queued_at = now() - interval '2 days', started_at = now() - interval '1 day'
        from mine
        where t.run_id = mine.run_id and t.step_slug = mine.step_slug and t.task_index = mine.task_index
    """)


# What PostgreSQL counts


def touched(connection: Connection) -> Counts:
    """Return what this transaction has read and written so far."""
    found = rows(
        connection,
        """
        select
          relname,
          coalesce(seq_scan, 0) as seq_scan, coalesce(seq_tup_read, 0) as seq_tup_read,
          coalesce(idx_scan, 0) as idx_scan, coalesce(idx_tup_fetch, 0) as idx_tup_fetch,
          n_tup_ins + n_tup_upd + n_tup_del as written
        from pg_stat_xact_user_tables
        where schemaname in ('pgflow', 'pgmq')
    """,
    )
    return Counter({(row["relname"], kind): row[kind] for row in found for kind in row if kind != "relname"})


def functions_called(connection: Connection) -> Counter[str]:
    """Return how often each function with statements of its own was called in this transaction."""
    found = rows(
        connection,
        """
        select s.funcname, s.calls
        from pg_stat_xact_user_functions s
        join pg_proc p on p.oid = s.funcid
        join pg_language l on l.oid = p.prolang
        where s.schemaname = 'pgflow' and l.lanname = 'plpgsql'
    """,
    )
    return Counter({row["funcname"]: row["calls"] for row in found})


def cost(connection: Connection, call: Call, count: int) -> Counts:
    before = touched(connection)
    call(connection, count)
    return touched(connection) - before


def cost_once_planned(connection: Connection, call: Call, count: int) -> Counts:
    """Return what a call touches after another one: planning looks at the ends of indexes, once."""
    prepare(connection, call, count)
    call(connection, count)
    prepare(connection, call, count)
    return cost(connection, call, count)


# Tests


@pytest.mark.parametrize("count", [1, BATCH, 100])
@pytest.mark.parametrize("name", [*CALLS, *READS])
def test_no_table_that_grows_is_read_from_end_to_end(session: Connection, name: str, count: int) -> None:
    call = (CALLS | READS)[name]
    prepare(session, call, count)
    scanned = {table for (table, kind), scans in cost(session, call, count).items() if kind == "seq_scan" and scans}
    assert scanned & GROWING == set()


def test_starting_one_run_reads_no_table_from_end_to_end(session: Connection) -> None:
    def start_one(connection: Connection, count: int) -> None:
        start(connection, {})

    scanned = {table for (table, kind), scans in cost(session, start_one, 1).items() if kind == "seq_scan" and scans}
    assert scanned & GROWING == set()


@pytest.mark.parametrize("name", MAINTENANCE)
def test_maintenance_looks_at_runs_one_by_one_and_at_what_belongs_to_them_by_key(
    session: Connection, name: str
) -> None:
    call = MAINTENANCE[name]
    prepare(session, call, BATCH)
    scanned = {table for (table, kind), scans in cost(session, call, BATCH).items() if kind == "seq_scan" and scans}
    assert scanned & GROWING == set()


@pytest.mark.parametrize("name", [*CALLS, *READS])
def test_rows_and_index_scans_are_bounded_by_the_batch(session: Connection, name: str) -> None:
    counts = cost_once_planned(session, (CALLS | READS)[name], BATCH)
    assert {what: count for what, count in counts.items() if count > ROWS_PER_ITEM * BATCH} == {}


@pytest.mark.parametrize("name", CALLS)
def test_the_number_of_statements_does_not_depend_on_the_size_of_the_batch(session: Connection, name: str) -> None:
    called = []
    for count in (1, BATCH, 4 * BATCH):
        prepare(session, CALLS[name], count)
        before = functions_called(session)
        CALLS[name](session, count)
        called.append(functions_called(session) - before)
    assert called[0]
    assert called[1:] == [called[0], called[0]]


@pytest.mark.parametrize("name", ["fetch_tasks", "complete_tasks", "fail_tasks"])
def test_a_task_of_a_map_costs_the_same_whatever_the_size_of_the_map(session: Connection, name: str) -> None:
    assert cost_of_one_task(session, name, 10) == cost_of_one_task(session, name, 5000)


def cost_of_one_task(connection: Connection, name: str, size: int) -> Counts:
    """Return what a call for one task of a map of this size touches, after one for another task of it."""
    with connection.transaction(force_rollback=True):
        start(connection, list(range(size)), "big")
        for _ in range(2):
            counts = cost_of_next_task(connection, name)
    return counts


def cost_of_next_task(connection: Connection, name: str) -> Counts:
    if name == "fetch_tasks":
        return cost(connection, lambda session, count: fetch(session, count, "big"), 1)
    fetch(connection, 1, "big")
    choose(connection, 1)
    return cost(connection, CALLS[name], 1)
