-- Deletes messages archived before p_cutoff, at most p_limit per flow (NULL: all). Returns their number.
create or replace function pgflow._delete_archived(p_cutoff timestamptz, p_flow_slugs text[], p_limit int)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_archive text;
  v_count int;
  v_deleted int := 0;
begin
  for v_archive in
    select pgmq.format_table_name(f.flow_slug, 'a')
    from pgflow.flows f
    where p_flow_slugs is null or f.flow_slug = any (p_flow_slugs)
    order by f.flow_slug
  loop
    if to_regclass('pgmq.' || quote_ident(v_archive)) is not null then
      execute format(
        'delete from pgmq.%1$I where msg_id in (select msg_id from pgmq.%1$I where archived_at < $1 limit $2)', v_archive
      ) using p_cutoff, p_limit;
      get diagnostics v_count = row_count;
      v_deleted := v_deleted + v_count;
    end if;
  end loop;
  return v_deleted;
end
$$;
