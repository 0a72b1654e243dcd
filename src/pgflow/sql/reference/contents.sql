-- What this package needs of a database whose schema pgflow was made by the reference's own migrations. Each function is
-- one statement over that schema's tables and functions, so it can be sent as a statement where it isn't installed.
-- `pgflow migrate --adopt` installs those that the database doesn't have by that name, and nothing else.

-- As in our own schema
\ir ../run/get_run.sql
\ir ../run/get_run_statuses.sql
\ir ../run/get_flow_input.sql
\ir ../run/get_step_progress.sql
\ir ../run/seconds_until.sql
\ir ../flow/flow_exists.sql

-- Looking
\ir _read_run.sql
\ir get_step_output.sql
\ir list_runs.sql
\ir count_runs.sql
\ir list_tasks.sql
\ir list_flows.sql
\ir get_queue_depths.sql

-- Starting
\ir _start_runs.sql
\ir _delay_runs.sql

-- Working
\ir register_worker.sql
\ir list_workers.sql
\ir _beat.sql
\ir stop_workers.sql
\ir _report_tasks.sql
\ir _ended_runs.sql
\ir _read_tasks.sql
\ir _hold_tasks.sql
\ir release_tasks.sql
\ir _lost_tasks.sql
\ir extend_leases.sql
\ir _recover.sql
\ir _exchange.sql
