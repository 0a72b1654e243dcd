"""A database whose core is newer than this package: more columns, statuses and notifications than are known here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from client.listening import listening, subscribed, trust_notifications
from pgflow import Context, Flow, PgFlow, RunStatus, WaitTimeout
from worker.running import DEADLINE_SECONDS, eventually, query, tasks, working

TABLES = ["flows", "steps", "deps", "runs", "step_states", "step_tasks", "workers"]

MORE_COLUMNS = "".join(f"alter table pgflow.{table} add column newer text not null default 'new';" for table in TABLES)

# As a newer core may have it: more attributes in what functions return, and in another order. (%% is one percent sign.)
MORE_ATTRIBUTES = """
create function newer_type(p_type regtype, p_alias text, out definition text, out value text) language sql as $$
  select
    'newer text, ' || string_agg(format('%%I %%s', attname, format_type(atttypid, null)), ', ' order by attnum desc),
    '''new'', ' || string_agg(format('%%I.%%I', p_alias, attname), ', ' order by attnum desc)
  from pg_attribute where attrelid = (select typrelid from pg_type where oid = p_type) and attnum > 0
$$;

do $$
declare
  v_function oid := 'pgflow.exchange_tasks'::regproc;
  v_task record := newer_type('pgflow.started_task', 't');
  v_end record := newer_type('pgflow.ended_run', 'r');
  v_arguments text := (
    select string_agg(format('%%I %%s', name, format_type(type, null)), ', ' order by number)
    from pg_proc p, unnest(p.proargtypes::oid[], p.proargnames[:p.pronargs]) with ordinality as a (type, name, number)
    where p.oid = v_function);
  v_names text := (select string_agg(format('%%I', name), ', ' order by number)
    from pg_proc p, unnest(p.proargnames[:p.pronargs]) with ordinality as a (name, number) where p.oid = v_function);
begin
  execute format('create type pgflow.newer_task as (%%s)', v_task.definition);
  execute format('create type pgflow.newer_end as (%%s)', v_end.definition);
  alter function pgflow.exchange_tasks rename to older_exchange_tasks;
  execute format($f$
    create function pgflow.exchange_tasks(%%s, out newer text, out read_until timestamptz[],
      out pause double precision, out skipped_steps jsonb, out ended_runs pgflow.newer_end[],
      out tasks pgflow.newer_task[], out recorded int[]) language sql as $b$
      select 'new', e.read_until, e.pause, e.skipped_steps,
        array(select row(%%s)::pgflow.newer_end from unnest(e.ended_runs) as r),
        array(select row(%%s)::pgflow.newer_task
              from unnest(e.tasks) with ordinality as t order by t.ordinality),
        e.recorded
      from pgflow.older_exchange_tasks(%%s) as e
    $b$ $f$, v_arguments, v_end.value, v_task.value, v_names);
end
$$;
"""

doubling = Flow("doubling")


@doubling.step
async def numbers(values: list[int], ctx: Context) -> list[int]:
    assert (ctx.attempt, ctx.max_attempts) == (1, 3)
    return values


@doubling.map(over=numbers)
async def double(number: int) -> int:
    return number * 2


@doubling.step
async def total(double: list[int], flow_input: list[int]) -> list[int]:
    return [*flow_input, sum(double)]


@pytest.fixture
async def app(newest_database_url: str) -> AsyncIterator[PgFlow]:
    async with PgFlow(newest_database_url) as app:
        yield app


@pytest.fixture
def url(newest_database_url: str) -> str:
    return newest_database_url


@pytest.mark.parametrize("newer", [MORE_COLUMNS, MORE_ATTRIBUTES], ids=["columns of tables", "attributes of results"])
async def test_more_columns_are_no_obstacle(app: PgFlow, url: str, newer: str) -> None:
    query(url, newer)
    assert await app.ensure_compiled(doubling) == "compiled"
    assert await app.ensure_compiled(doubling) == "verified"
    async with working(app, doubling):
        run = await app.start_flow(doubling, [1, 2, 3])
        assert await run.result(DEADLINE_SECONDS) == {"total": [1, 2, 3, 12]}
        assert (await app.health_check()).status == "ok"
    assert [found.run_id for found in await app.list_runs()] == [run.run_id]
    assert [step.status for step in (await app.get_run_with_states(run.run_id)).steps] == ["completed"] * 3
    assert [flow.slug for flow in await app.list_flows()] == ["doubling"]
    assert [task["attempts_count"] for task in tasks(url)] == [1] * 5


async def set_status(url: str, table: str, status: str) -> None:
    """Give all rows of a table a status that today's constraints refuse."""
    constraint = "valid_status" if table == "step_tasks" else "status_is_valid"
    query(url, f"alter table pgflow.{table} drop constraint if exists {constraint}")
    query(url, f"update pgflow.{table} set status = %s", status)


async def test_a_run_whose_status_is_unknown_has_not_ended(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling)
    run = await app.start_flow(doubling, [])
    await set_status(url, "runs", "paused")
    assert (await run.refresh()).status == "paused"
    assert not run.row.ended
    with pytest.raises(WaitTimeout):
        await run.wait(0.05)
    with pytest.raises(WaitTimeout):
        await app.start_flow_sync(doubling, [], timeout=0.05)


async def test_a_run_is_waited_for_through_a_status_that_is_unknown(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling)
    run = await app.start_flow(doubling, [])
    await set_status(url, "runs", "paused")
    waiting = asyncio.create_task(run.wait(DEADLINE_SECONDS))
    await eventually(lambda: app.database.watcher._waits, "the run is waited for")
    await set_status(url, "runs", "started")
    async with working(app, doubling):
        assert (await waiting).status == RunStatus.COMPLETED


async def test_events_go_on_over_steps_whose_status_is_unknown(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling)
    run = await app.start_flow(doubling, [1])
    query(url, "alter table pgflow.step_states drop constraint status_is_valid")
    query(url, "update pgflow.step_states set status = 'waiting' where step_slug = 'double'")
    seen = run.events()
    first = [(await anext(seen)).event_type for _ in range(2)]
    query(url, "update pgflow.step_states set status = 'created' where step_slug = 'double'")
    async with working(app, doubling):
        rest = [event.event_type async for event in seen]
    assert first == ["run:started", "step:started"]
    assert (rest.count("step:completed"), rest[-1]) == (3, "run:completed")


async def test_steps_and_tasks_whose_status_is_unknown_are_shown_as_they_are(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling)
    run = await app.start_flow(doubling, [1])
    await set_status(url, "step_tasks", "waiting")
    query(url, "alter table pgflow.step_states drop constraint status_is_valid")
    query(url, "update pgflow.step_states set status = 'waiting' where step_slug = 'numbers'")
    assert [step.status for step in (await run.refresh()).steps] == ["waiting", "created", "created"]
    progress = (await run.read_progress())["numbers"]
    assert (progress.queued, progress.started, progress.completed, progress.failed) == (0, 0, 0, 0)


async def test_a_worker_leaves_tasks_whose_status_is_unknown_alone(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling)
    waiting = await app.start_flow(doubling, [1])
    await set_status(url, "step_tasks", "waiting")
    other = await app.start_flow(doubling, [1])
    async with working(app, doubling):
        assert await other.result(DEADLINE_SECONDS) == {"total": [1, 2]}
    assert (await waiting.refresh()).status == "started"
    assert [task["status"] for task in tasks(url)].count("waiting") == 1


@pytest.mark.parametrize("payload", ["", "run:frozen", ",,,", "ü" * 100, '{"event_type": "run:frozen"}'])
async def test_notifications_that_are_unknown_change_nothing(
    app: PgFlow, url: str, payload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_notifications(monkeypatch)
    await app.ensure_compiled(doubling)
    run = await app.start_flow(doubling, [1])
    async with asyncio.timeout(DEADLINE_SECONDS):
        waiting = asyncio.create_task(run.wait(DEADLINE_SECONDS))
        async with subscribed(await listening(app)) as heard:
            for channel in ("runs", "tasks", "newer"):
                query(url, "select pg_notify(%s, %s)", f"pgflow_{channel}", payload)
            await eventually(lambda: payload in heard, "the notification is heard")
        async with working(app, doubling):
            assert (await waiting).status == "completed"
