-- Schema pgflow, in reading order. Installs everything with `psql -f schema.sql` into a database that has pgmq;
-- `pgflow migrate` does the same through the migrations, and remembers what it has done.

\ir tables/schema.sql

-- Clock, slugs
\ir lib/_now.sql
\ir lib/is_local.sql
\ir lib/is_valid_slug.sql
\ir lib/calculate_retry_delay.sql
\ir lib/_distinct_texts.sql

-- What there is: definitions, workers, what happens
\ir tables/definitions.sql
\ir tables/workers.sql
\ir tables/listeners.sql
\ir tables/runtime.sql
\ir tables/keys_and_tags.sql
\ir tables/cancellations.sql
\ir tables/types.sql

-- Events
\ir lib/_has_listeners.sql
\ir lib/_notify.sql
\ir lib/_notify_runs.sql
\ir lib/_emit_event.sql
\ir lib/_cancellation_message.sql
\ir lib/_run_event.sql
\ir lib/_step_event.sql
\ir lib/_emit_events.sql

-- Defining flows
\ir flow/_lock_definition.sql
\ir flow/create_flow.sql
\ir flow/add_step.sql
\ir flow/_wrap_pattern.sql
\ir flow/_unwrap_pattern.sql
\ir flow/_get_flow_shape.sql
\ir flow/_sorted_dependencies.sql
\ir flow/_compare_steps.sql
\ir flow/_compare_flow_shapes.sql
\ir flow/set_flow_type.sql
\ir flow/_create_flow_from_shape.sql
\ir flow/delete_flow_and_data.sql
\ir flow/ensure_flow_compiled.sql
\ir flow/flow_exists.sql
\ir flow/compare_flow.sql
\ir flow/_set_options.sql
\ir flow/upsert_flow.sql
\ir flow/list_flows.sql

-- Messages
\ir task/set_vt_batch.sql
\ir task/_set_visibility.sql
\ir task/_archive_messages.sql
\ir task/_archive_active_messages.sql
\ir task/_archive_task_message.sql

-- Primitives of runs and steps
\ir run/_lock_runs.sql
\ir run/_count_down_runs.sql
\ir run/_end_failed_runs.sql
\ir run/_fail_runs.sql
\ir run/_end_steps_of_runs.sql
\ir run/_complete_runs.sql
\ir step/_dependency_outputs.sql
\ir step/_unmet_steps.sql
\ir step/_release_children.sql
\ir step/_note_skipped_steps.sql
\ir step/_skip_steps.sql
\ir step/_force_skip_steps.sql
\ir step/_force_skip_unmet_steps.sql
\ir step/_resolve_conditions.sql
\ir step/_complete_taskless_steps.sql
\ir step/_create_tasks.sql
\ir step/_start_ready_steps.sql

-- The one place that moves runs forward
\ir run/_check_wave_limit.sql
\ir run/_advance_runs.sql

-- Starting runs
\ir run/_new_run_ids.sql
\ir run/seconds_until.sql
\ir run/_check_root_map_inputs.sql
\ir run/_start_flows.sql
\ir run/start_flow.sql
\ir run/start_flows.sql
\ir run/_check_start.sql
\ir run/_claim_keys.sql
\ir run/_tag_runs.sql
\ir run/_start_keyed_runs.sql
\ir run/start_runs.sql
\ir run/get_run.sql
\ir run/get_run_by_key.sql
\ir run/get_run_tags.sql
\ir run/describe_run.sql
\ir run/get_run_with_states.sql
\ir run/get_run_statuses.sql
\ir run/get_runs_if_ended.sql
\ir run/start_flow_with_states.sql
\ir run/get_flow_input.sql
\ir run/get_step_output.sql
\ir run/get_step_progress.sql
\ir run/delay_run.sql
\ir run/_has_tags.sql
\ir run/_list_tagged_runs.sql
\ir run/list_runs.sql
\ir run/count_runs.sql
\ir task/list_tasks.sql

-- Working tasks
\ir task/_fill_inputs.sql
\ir task/_start_tasks.sql
\ir task/start_tasks.sql
\ir task/_put_off_messages.sql
\ir task/_take_tasks.sql
\ir task/fetch_tasks.sql
\ir task/poll_for_tasks.sql
\ir task/_lock_tasks.sql
\ir task/_lock_reported.sql
\ir task/_collect_outputs.sql
\ir task/_complete_tasks_and_steps.sql
\ir task/_archive_reported.sql
\ir task/_fail_type_violations.sql
\ir task/_record_completions.sql
\ir task/_complete_tasks.sql
\ir task/complete_task.sql
\ir task/complete_tasks.sql
\ir task/_judge_failures.sql
\ir task/_return_or_archive.sql
\ir task/_apply_failures.sql
\ir task/_record_failures.sql
\ir task/_fail_tasks.sql
\ir task/fail_task.sql
\ir task/fail_tasks.sql
\ir task/_record_releases.sql
\ir task/release_tasks.sql
\ir task/release_lost_tasks.sql
\ir task/_record_reports.sql
\ir task/_ended_runs.sql
\ir task/exchange_tasks.sql
\ir task/_requeue_stalled.sql
\ir task/requeue_stalled_tasks.sql
\ir task/recover_stalled_tasks.sql
\ir task/fail_stalled_tasks.sql
\ir task/recover_tasks.sql
\ir task/extend_leases.sql
\ir task/get_queue_depths.sql

-- Cancelling and retrying runs
\ir run/cancel_runs.sql
\ir run/_skips_to_undo.sql
\ir run/_reopen_runs.sql
\ir task/_requeue_open_tasks.sql
\ir run/retry_runs.sql

-- Single steps of the settle sequence, for operators
\ir run/maybe_complete_run.sql
\ir step/start_ready_steps.sql
\ir step/cascade_complete_taskless_steps.sql
\ir step/cascade_resolve_conditions.sql
\ir step/_cascade_force_skip_steps.sql

-- Workers
\ir worker/register_worker.sql
\ir worker/keep_alive.sql
\ir worker/mark_worker_stopped.sql
\ir worker/stop_workers.sql
\ir worker/list_workers.sql
\ir worker/track_worker_function.sql
\ir worker/register_listener.sql
\ir worker/unregister_listener.sql

-- Deleting what is old
\ir task/_delete_messages.sql
\ir task/_delete_archived.sql
\ir worker/_delete_workers.sql
\ir run/_prune.sql
\ir run/prune_data_older_than.sql
\ir run/count_data_older_than.sql

-- Supabase's platform; without it these do nothing, or say so
\ir supabase/_vault_secret.sql
\ir supabase/ensure_workers.sql
\ir supabase/_schedule_cron_job.sql
\ir supabase/setup_requeue_stalled_tasks_cron.sql
\ir supabase/setup_ensure_workers_cron.sql
\ir supabase/cleanup_ensure_workers_logs.sql
\ir supabase/schedule_jobs.sql

-- Who may do what
\ir roles/_functions_of_role.sql
\ir roles/_require_role.sql
\ir roles/_grant_functions.sql
\ir roles/grant_starter.sql
\ir roles/grant_worker.sql
\ir roles/revoke_grants.sql
\ir roles/rights.sql
