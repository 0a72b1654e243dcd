-- The messages of failed tasks: visible again after the retry delay, or archived when nothing will retry them.
create or replace function pgflow._return_or_archive(p_failures pgflow._failure[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._set_visibility(array_agg(flow_slug), array_agg(message_id), array_agg(retry_delay))
  from unnest(p_failures) as failure
  where verdict = 'retry';

  -- The worker that failed may be busy when it is time, and others learn only by looking when that will be.
  perform pgflow._notify('tasks', retried.flow_slug)
  from (select distinct flow_slug from unnest(p_failures) as failure where verdict = 'retry') as retried;

  perform pgflow._archive_messages(array_agg(flow_slug), array_agg(message_id))
  from unnest(p_failures) as failure
  where verdict not in ('retry', 'ignored');
end
$$;
