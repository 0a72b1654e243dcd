create or replace function pgflow.set_vt_batch(queue_name text, msg_ids bigint[], vt_offsets int[])
returns table (msg_id bigint, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb, headers jsonb)
language plpgsql
set search_path to ''
as $$
begin
  if set_vt_batch.msg_ids is null or set_vt_batch.vt_offsets is null then
    return;
  end if;
  if cardinality(set_vt_batch.msg_ids) <> cardinality(set_vt_batch.vt_offsets) then
    raise exception 'msg_ids length (%) must equal vt_offsets length (%)',
      cardinality(set_vt_batch.msg_ids), cardinality(set_vt_batch.vt_offsets);
  end if;

  return query execute format(
    $sql$
      with wanted as (
        select msg_id, max(seconds) as seconds
        from unnest($1, $2) as changed (msg_id, seconds)
        group by msg_id
      ), locked as (
        select q.msg_id, wanted.seconds
        from wanted
        join pgmq.%1$I q on q.msg_id = wanted.msg_id
        order by q.msg_id
        for update of q
      )
      update pgmq.%1$I q
      set vt = clock_timestamp() + make_interval(secs => locked.seconds)
      from locked
      where q.msg_id = locked.msg_id
      returning q.msg_id, q.read_ct, q.enqueued_at, q.vt, q.message, q.headers
    $sql$,
    pgmq.format_table_name(set_vt_batch.queue_name, 'q')
  ) using set_vt_batch.msg_ids, set_vt_batch.vt_offsets;
end
$$;
comment on function pgflow.set_vt_batch(text, bigint[], int[]) is 'Makes the i-th message visible in the i-th number of seconds from now (0 = now), all in one statement; returns the messages changed.';
