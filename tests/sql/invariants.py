"""What holds after every call of the engine, in whatever state runs are."""

from __future__ import annotations

from psycopg import sql

from sql.engine import Connection, rows

RULES = """
with message as ({messages}), run as (
  select r.*, count(ss.step_slug) filter (where ss.status not in ('completed', 'skipped')) as open_steps
  from pgflow.runs r
  left join pgflow.step_states ss using (run_id)
  group by r.run_id
), state as (
  select ss.*,
    (
      select count(*) from pgflow.step_tasks t
      where t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.status <> 'completed'
    ) as open_tasks,
    (
      select count(*) from pgflow.step_tasks t where t.run_id = ss.run_id and t.step_slug = ss.step_slug
    ) as task_count,
    (
      select count(*) from pgflow.deps d
      join pgflow.step_states parent on parent.run_id = ss.run_id and parent.step_slug = d.dep_slug
      where d.flow_slug = ss.flow_slug and d.step_slug = ss.step_slug and parent.status not in ('completed', 'skipped')
    ) as open_dependencies
  from pgflow.step_states ss
), announcement as (
  select flow_slug, message ->> 'run_id' as run_id, message ->> 'step_slug' as step_slug,
    (message ->> 'task_index')::int as task_index, count(*) as message_count, min(msg_id) as message_id
  from message
  group by 1, 2, 3, 4
), task as (
  select t.*,
    r.status = 'started' and ss.status = 'started' and permanently_stalled_at is null as is_going_on,
    coalesce(announcement.message_count, 0) as message_count,
    announcement.message_id as announced_message_id
  from pgflow.step_tasks t
  join pgflow.runs r using (run_id)
  join pgflow.step_states ss using (run_id, step_slug)
  left join announcement on announcement.flow_slug = t.flow_slug and announcement.run_id = t.run_id::text
    and announcement.step_slug = t.step_slug and announcement.task_index = t.task_index
)
select 'a run that has ended has a message in the queue' as rule, to_jsonb(m) as row
from message m join pgflow.runs r on r.run_id::text = m.message ->> 'run_id' and r.status <> 'started'
union all
select 'remaining_steps is the number of steps neither completed nor skipped', to_jsonb(run)
from run where remaining_steps <> open_steps
union all
select 'the status of a run agrees with its timestamps', to_jsonb(run)
from run where status <> case
  when completed_at is not null then 'completed' when failed_at is not null then 'failed' else 'started' end
union all
select 'remaining_tasks of a started step is the number of its tasks not completed', to_jsonb(state)
from state where status = 'started' and remaining_tasks is distinct from open_tasks
union all
select 'a started step has as many tasks as initial_tasks says', to_jsonb(state)
from state where status in ('started', 'completed') and initial_tasks is distinct from task_count
union all
select 'remaining_deps is the number of parents neither completed nor skipped', to_jsonb(state)
from state where status <> 'skipped' and remaining_deps <> open_dependencies
union all
select 'the status of a step agrees with its timestamps', to_jsonb(state)
from state where status <> case
  when completed_at is not null then 'completed' when failed_at is not null then 'failed'
  when skipped_at is not null then 'skipped' when started_at is not null then 'started' else 'created' end
union all
select 'the status of a task agrees with its timestamps', to_jsonb(task)
from task where status <> case
  when completed_at is not null then 'completed' when failed_at is not null then 'failed'
  when started_at is not null then 'started' else 'queued' end
union all
select 'a task that goes on has exactly one message', to_jsonb(task)
from task where is_going_on and status in ('queued', 'started')
  and (message_count <> 1 or announced_message_id is distinct from message_id)
union all
select 'a task that has ended has no message', to_jsonb(task)
from task where status in ('completed', 'failed') and message_count > 0
union all
select 'a key is of the flow of its run', to_jsonb(k)
from pgflow.run_keys k left join run using (run_id) where k.flow_slug is distinct from run.flow_slug
union all
select 'a tag knows the start of its run', to_jsonb(t)
from pgflow.run_tags t left join run using (run_id) where t.started_at is distinct from run.started_at
"""


def check_invariants(connection: Connection) -> None:
    """Raise :class:`AssertionError` with the rules that are broken and the rows that break them."""
    query = sql.SQL(RULES).format(messages=_all_messages(connection))
    broken = [f"{found['rule']}: {found['row']}" for found in connection.execute(query).fetchall()]
    assert not broken, "\n".join(broken)


def _all_messages(connection: Connection) -> sql.Composable:
    names = rows(
        connection,
        """
        select flow_slug, 'q_' || lower(flow_slug) as name from pgflow.flows
        where to_regclass('pgmq.q_' || lower(flow_slug)) is not null
    """,
    )
    selects = [
        sql.SQL("select {} as flow_slug, msg_id, message from pgmq.{}").format(
            found["flow_slug"], sql.Identifier(found["name"])
        )
        for found in names
    ]
    nothing = sql.SQL("select null::text as flow_slug, null::bigint as msg_id, null::jsonb as message where false")
    return sql.SQL(" union all ").join([nothing, *selects])
