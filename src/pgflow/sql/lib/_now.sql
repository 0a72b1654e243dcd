-- The one clock of all state timestamps: transaction time, or the time that a test has set in pgflow.now.
-- Message visibility is pgmq's and follows the wall clock.
create or replace function pgflow._now()
returns timestamptz
language sql stable parallel safe
as $$
  select coalesce(nullif(current_setting('pgflow.now', true), '')::timestamptz, now());
$$;
