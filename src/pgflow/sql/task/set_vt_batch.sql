create or replace function pgflow.set_vt_batch(queue_name text, msg_ids bigint[], vt_offsets int[])
returns table (msg_id bigint, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb, headers jsonb)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_queue text := pgmq.format_table_name(set_vt_batch.queue_name, 'q');
  v_row_ids tid[];
  v_seconds int[];
begin
  if set_vt_batch.msg_ids is null or set_vt_batch.vt_offsets is null then
    return;
  end if;
  if cardinality(set_vt_batch.msg_ids) <> cardinality(set_vt_batch.vt_offsets) then
    raise exception 'msg_ids length (%) must equal vt_offsets length (%)',
      cardinality(set_vt_batch.msg_ids), cardinality(set_vt_batch.vt_offsets);
  end if;

  -- Locked in the order of ids, in which everybody locks messages, and found by key whatever the statistics say.
  execute format(
    $sql$
      select array_agg(locked.row_id), array_agg(wanted.seconds)
      from (
        select msg_id, max(seconds) as seconds
        from unnest($1, $2) as changed (msg_id, seconds)
        group by msg_id
        order by msg_id
      ) as wanted
      cross join lateral (
        select q.ctid as row_id from pgmq.%I q where q.msg_id = wanted.msg_id offset 0 for update
      ) as locked
    $sql$,
    v_queue
  ) into v_row_ids, v_seconds using set_vt_batch.msg_ids, set_vt_batch.vt_offsets;

  for msg_id, read_ct, enqueued_at, vt, message, headers in execute format(
    $sql$
      update pgmq.%I q
      set vt = clock_timestamp() + make_interval(secs => locked.seconds)
      from unnest($1, $2) as locked (row_id, seconds)
      where q.ctid = locked.row_id
      returning q.msg_id, q.read_ct, q.enqueued_at, q.vt, q.message, q.headers
    $sql$,
    v_queue
  ) using v_row_ids, v_seconds loop
    return next;
  end loop;
end
$$;
comment on function pgflow.set_vt_batch(text, bigint[], int[]) is 'Makes the i-th message visible in the i-th number of seconds from now (0 = now); returns the messages changed.';
