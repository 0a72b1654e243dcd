-- What flows are: flows, their steps, and the edges between steps.

create table if not exists pgflow.flows (
  flow_slug text not null,
  opt_max_attempts int not null default 3,
  opt_base_delay int not null default 1,
  opt_timeout int not null default 60,
  created_at timestamptz not null default pgflow._now(),
  flow_type text not null default 'flow',
  constraint flows_pkey primary key (flow_slug),
  constraint slug_is_valid check (pgflow.is_valid_slug(flow_slug)),
  constraint opt_max_attempts_is_nonnegative check (opt_max_attempts >= 0),
  constraint opt_base_delay_is_nonnegative check (opt_base_delay >= 0),
  constraint opt_timeout_is_positive check (opt_timeout > 0),
  constraint flow_type_is_valid check (flow_type in ('flow', 'job'))
);
comment on table pgflow.flows is 'One row per flow: its slug, which also names its queue, and the default options of its steps.';
comment on column pgflow.flows.opt_max_attempts is 'Executions allowed per task, the first one included.';
comment on column pgflow.flows.opt_base_delay is 'Seconds; base of the exponential retry delay.';
comment on column pgflow.flows.opt_timeout is 'Seconds a task may run.';
comment on column pgflow.flows.flow_type is 'job: one step that is put into a queue and worked. They are run alike; listings tell them apart.';

create table if not exists pgflow.steps (
  flow_slug text not null,
  step_slug text not null,
  step_type text not null default 'single',
  step_index int not null default 0,
  deps_count int not null default 0,
  opt_max_attempts int,
  opt_base_delay int,
  opt_timeout int,
  opt_start_delay int,
  required_input_pattern jsonb,
  forbidden_input_pattern jsonb,
  when_unmet text not null default 'skip',
  when_exhausted text not null default 'fail',
  created_at timestamptz not null default pgflow._now(),
  constraint steps_pkey primary key (flow_slug, step_slug),
  constraint steps_flow_slug_step_index_key unique (flow_slug, step_index),
  constraint steps_flow_slug_fkey foreign key (flow_slug) references pgflow.flows,
  constraint steps_step_slug_check check (pgflow.is_valid_slug(step_slug)),
  constraint steps_step_type_check check (step_type in ('single', 'map')),
  constraint steps_deps_count_check check (deps_count >= 0),
  constraint opt_max_attempts_is_nonnegative check (opt_max_attempts >= 0),
  constraint opt_base_delay_is_nonnegative check (opt_base_delay >= 0),
  constraint opt_timeout_is_positive check (opt_timeout > 0),
  constraint opt_start_delay_is_nonnegative check (opt_start_delay >= 0),
  constraint required_input_pattern_is_object check (jsonb_typeof(required_input_pattern) = 'object'),
  constraint forbidden_input_pattern_is_object check (jsonb_typeof(forbidden_input_pattern) = 'object'),
  constraint when_unmet_is_valid check (when_unmet in ('fail', 'skip', 'skip-cascade')),
  constraint when_exhausted_is_valid check (when_exhausted in ('fail', 'skip', 'skip-cascade'))
);
comment on table pgflow.steps is 'One row per step of a flow. An option that is NULL is inherited from the flow.';
comment on column pgflow.steps.step_type is 'single: one task. map: one task per element of the parent''s output, which must be an array, or of the run''s input.';
comment on column pgflow.steps.step_index is 'Position in the order of definition, from 0; a topological order, since parents come first.';
comment on column pgflow.steps.deps_count is 'Number of rows in pgflow.deps with this step as the child.';
comment on column pgflow.steps.opt_max_attempts is 'As in pgflow.flows.';
comment on column pgflow.steps.opt_base_delay is 'As in pgflow.flows.';
comment on column pgflow.steps.opt_timeout is 'As in pgflow.flows.';
comment on column pgflow.steps.opt_start_delay is 'Seconds to hold back the first delivery of each task.';
comment on column pgflow.steps.required_input_pattern is 'The step only runs if its input contains (@>) this: the run''s input for a root step, else an object of its parents'' outputs by slug.';
comment on column pgflow.steps.forbidden_input_pattern is 'The step only runs if its input doesn''t contain (@>) this.';
comment on column pgflow.steps.when_unmet is 'What becomes of a step whose patterns say no. fail: it fails with its run. skip: it is skipped and its children run without it. skip-cascade: everything behind it is skipped too.';
comment on column pgflow.steps.when_exhausted is 'What becomes of a step with a task that failed and has no attempts left; as in when_unmet.';

create table if not exists pgflow.deps (
  flow_slug text not null,
  dep_slug text not null,
  step_slug text not null,
  created_at timestamptz not null default pgflow._now(),
  constraint deps_pkey primary key (flow_slug, dep_slug, step_slug),
  constraint deps_flow_slug_fkey foreign key (flow_slug) references pgflow.flows,
  constraint deps_flow_slug_dep_slug_fkey foreign key (flow_slug, dep_slug) references pgflow.steps,
  constraint deps_flow_slug_step_slug_fkey foreign key (flow_slug, step_slug) references pgflow.steps,
  constraint deps_check check (dep_slug <> step_slug)
);
comment on table pgflow.deps is 'One row per edge: dep_slug, the parent, must end before step_slug, the child, may start.';
comment on column pgflow.deps.dep_slug is 'The parent.';
comment on column pgflow.deps.step_slug is 'The child.';

-- Parents of a step, for its input and its condition; the primary key serves the children of a step.
create index if not exists deps_by_child on pgflow.deps (flow_slug, step_slug);
