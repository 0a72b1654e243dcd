-- Two functions of one name: the contract's, and ours, which counts and can be called in bounded batches.
create or replace function pgflow.prune_data_older_than(retention_interval interval)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._prune(pgflow._now() - retention_interval, null, null, false);
end
$$;
comment on function pgflow.prune_data_older_than(interval) is 'Deletes runs that ended longer ago than the interval, with their steps, tasks and messages, archived messages and workers of that age, all at once. Runs that go on are kept.';

create or replace function pgflow.prune_data_older_than(
  retention_interval interval,
  flow_slugs text[],
  batch_size int default 1000,
  out deleted_runs int,
  out deleted_step_states int,
  out deleted_step_tasks int,
  out deleted_workers int,
  out deleted_messages int
)
language sql
set search_path to pg_catalog, pg_temp
as $$
  select *
  from pgflow._prune(
    pgflow._now() - prune_data_older_than.retention_interval,
    prune_data_older_than.flow_slugs,
    prune_data_older_than.batch_size,
    true
  );
$$;
comment on function pgflow.prune_data_older_than(interval, text[], int) is 'Does that for some flows (NULL: all) and at most batch_size runs, workers, and archived messages per flow, and returns what was deleted; workers that are alive are kept. Call it until it returns zeros.';
