-- What starters write on runs to find them again: a key, which only one run of a flow has at a time, and tags.
-- Both go with their run, whoever deletes it: other implementations of pgflow delete rows of runs by themselves.

create table if not exists pgflow.run_keys (
  flow_slug text not null,
  key text not null,
  run_id uuid not null,
  constraint run_keys_pkey primary key (flow_slug, key),
  constraint run_keys_run_id_key unique (run_id),
  -- Deferred, because a key is taken before its run is started: who waits for the other waits for the key.
  constraint run_keys_run_id_fkey foreign key (run_id) references pgflow.runs on delete cascade
    deferrable initially deferred,
  constraint key_is_valid check (char_length(key) between 1 and 255)
);
comment on table pgflow.run_keys is 'One row per run that was started with a key. A start with a key that is there gives back its run.';
comment on column pgflow.run_keys.flow_slug is 'The flow of the run; other flows may have a run of the same key.';
comment on column pgflow.run_keys.key is 'Chosen by the starter, 1 to 255 characters; free again once its run is deleted.';

create table if not exists pgflow.run_tags (
  run_id uuid not null,
  tag text not null,
  started_at timestamptz not null,
  constraint run_tags_pkey primary key (run_id, tag),
  constraint run_tags_run_id_fkey foreign key (run_id) references pgflow.runs on delete cascade,
  constraint tag_is_valid check (char_length(tag) between 1 and 100)
);
comment on table pgflow.run_tags is 'One row per run and tag, for listings. A start writes at most 20 on a run.';
comment on column pgflow.run_tags.tag is '1 to 100 characters.';
comment on column pgflow.run_tags.started_at is 'As in pgflow.runs, where it never changes: a list is read from its top here.';

-- The newest runs of a tag.
create index if not exists run_tags_by_tag on pgflow.run_tags (tag, started_at, run_id);
