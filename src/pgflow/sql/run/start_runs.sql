create or replace function pgflow.start_runs(
  p_flow_slug text,
  p_inputs jsonb[],
  p_keys text[] default null,
  p_tags text[] default null,
  p_start_at timestamptz default null,
  p_run_ids uuid[] default null
)
returns table (run_id uuid, existed boolean, run pgflow.runs)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
declare
  v_tags text[] := pgflow._distinct_texts(p_tags);
  v_keys text[] := coalesce(p_keys, array_fill(null::text, array[coalesce(cardinality(p_inputs), 0)]));
  v_run_ids uuid[] := coalesce(p_run_ids, pgflow._new_run_ids(cardinality(p_inputs)));
  v_delay int;
begin
  perform pgflow._check_start(p_inputs, p_keys, v_tags, p_start_at, p_run_ids);
  v_delay := coalesce(pgflow.seconds_until(p_start_at), 0);

  -- Nearly always one round. One that finds that a run was deleted between the two looks at it is taken back as a whole,
  -- with its keys: taking the missing ones then would be out of their order.
  while cardinality(p_inputs) > 0 loop
    begin
      return query
        select (started.run).run_id, started.existed, started.run
        from pgflow._start_keyed_runs(p_flow_slug, p_inputs, v_keys, v_tags, v_delay, v_run_ids) as started;
      if not found then
        raise exception using errcode = 'PGF01', message = 'a run was deleted meanwhile';
      end if;
      exit;
    exception when sqlstate 'PGF01' then
      null;
    end;
  end loop;
end
$$;
comment on function pgflow.start_runs(text, jsonb[], text[], text[], timestamptz, uuid[]) is 'Starts one run per input, all or none, and returns a row for each in the order of the inputs. p_keys has a key for each input, or NULL: where a run of the flow has the key, that run is returned as it is, whatever its input, tags and id, and existed is true; so it is where an earlier input has the key. Two who start with the same key at once get the same run. p_tags are written on all runs that are started, and their first tasks become visible at p_start_at; the runs exist at once.';
