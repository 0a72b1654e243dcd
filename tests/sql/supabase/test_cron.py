"""Jobs of pg_cron: scheduling them, cleaning up behind them, and doing without."""

from __future__ import annotations

import pytest

from pgflow import schema
from sql.engine import Connection, connect, refused, row, rows, value
from sql.supabase.stand_ins import add_cron, jobs

REQUEUE = ("pgflow_requeue_stalled_tasks", "select pgflow.requeue_stalled_tasks()")
ENSURE = ("pgflow_ensure_workers", "select pgflow.ensure_workers()")
CLEANUP = ("pgflow_cleanup_logs", "select pgflow.cleanup_ensure_workers_logs()")


@pytest.fixture
def cron(connection: Connection) -> Connection:
    """A database with pg_cron, added after the schema: no job is scheduled yet."""
    add_cron(connection)
    return connection


def set_up(connection: Connection, name: str, schedule: str | None = None) -> str:
    """Call a setup function, with its default schedule unless given, and return its confirmation."""
    arguments = "" if schedule is None else "cron_interval => %s"
    parameters = () if schedule is None else (schedule,)
    found = value(connection, f"select pgflow.{name}({arguments})", *parameters)
    assert isinstance(found, str)
    return found


def clean_up(connection: Connection, arguments: str = "") -> int:
    found = row(connection, f"select * from pgflow.cleanup_ensure_workers_logs({arguments})")
    assert isinstance(found["cron_deleted"], int)
    return found["cron_deleted"]


def log(connection: Connection, *ages: str) -> None:
    """Log jobs that ended so long ago."""
    for age in ages:
        connection.execute("insert into cron.job_run_details (end_time) values (now() - %s::interval)", (age,))


# Recovery


def test_recovery_runs_every_fifteen_seconds(cron: Connection) -> None:
    set_up(cron, "setup_requeue_stalled_tasks_cron")
    assert jobs(cron) == {REQUEUE[0]: ("15 seconds", REQUEUE[1])}


def test_setting_up_recovery_twice_leaves_one_job_with_the_last_schedule(cron: Connection) -> None:
    set_up(cron, "setup_requeue_stalled_tasks_cron", "30 seconds")
    set_up(cron, "setup_requeue_stalled_tasks_cron", "*/5 * * * *")
    assert jobs(cron) == {REQUEUE[0]: ("*/5 * * * *", REQUEUE[1])}


def test_the_confirmation_names_the_job_its_interval_and_its_id(cron: Connection) -> None:
    confirmation = set_up(cron, "setup_requeue_stalled_tasks_cron", "30 seconds")
    job_id = value(cron, "select jobid::text from cron.job")
    assert all(part in confirmation for part in (REQUEUE[0], "30 seconds", job_id))


# Workers


def test_workers_are_ensured_every_second_and_logs_are_cleaned_up_every_hour(cron: Connection) -> None:
    set_up(cron, "setup_ensure_workers_cron")
    assert jobs(cron) == {CLEANUP[0]: ("0 * * * *", CLEANUP[1]), ENSURE[0]: ("1 second", ENSURE[1])}


def test_setting_up_workers_twice_leaves_one_job_each_with_the_last_schedule(cron: Connection) -> None:
    set_up(cron, "setup_ensure_workers_cron")
    set_up(cron, "setup_ensure_workers_cron", "10 seconds")
    assert jobs(cron) == {CLEANUP[0]: ("0 * * * *", CLEANUP[1]), ENSURE[0]: ("10 seconds", ENSURE[1])}


def test_the_confirmation_names_both_jobs(cron: Connection) -> None:
    confirmation = set_up(cron, "setup_ensure_workers_cron")
    assert ENSURE[0] in confirmation
    assert CLEANUP[0] in confirmation


def test_jobs_of_others_are_left_alone(cron: Connection) -> None:
    cron.execute("select cron.schedule('report', '0 3 * * *', 'select 1')")
    set_up(cron, "setup_ensure_workers_cron")
    set_up(cron, "setup_requeue_stalled_tasks_cron")
    assert jobs(cron)["report"] == ("0 3 * * *", "select 1")


def test_the_scheduled_commands_run(cron: Connection) -> None:
    set_up(cron, "setup_ensure_workers_cron")
    set_up(cron, "setup_requeue_stalled_tasks_cron")
    for _, command in jobs(cron).values():
        rows(cron, command)


# Logs


def test_logs_older_than_a_day_are_deleted(cron: Connection) -> None:
    log(cron, "25 hours", "30 days", "23 hours")
    assert clean_up(cron) == 2
    assert value(cron, "select count(*) from cron.job_run_details") == 1


def test_the_retention_can_be_chosen(cron: Connection) -> None:
    log(cron, "25 hours", "3 hours", "1 hour")
    assert clean_up(cron, "retention_hours => 2") == 2


def test_logs_of_jobs_that_still_run_are_kept(cron: Connection) -> None:
    cron.execute("insert into cron.job_run_details (end_time) values (null)")
    assert clean_up(cron, "0") == 0


def test_without_old_logs_none_is_deleted(cron: Connection) -> None:
    assert clean_up(cron) == 0


# Installation, and without pg_cron


def test_installing_the_schema_schedules_the_jobs(empty_database_url: str) -> None:
    with connect(empty_database_url) as connection:
        add_cron(connection)
        schema.migrate(connection)
        assert {name: schedule for name, (schedule, _) in jobs(connection).items()} == {
            REQUEUE[0]: "15 seconds",
            ENSURE[0]: "1 second",
            CLEANUP[0]: "0 * * * *",
        }


@pytest.mark.parametrize("name", ["setup_requeue_stalled_tasks_cron", "setup_ensure_workers_cron"])
def test_without_pg_cron_setting_up_is_refused_by_name(connection: Connection, name: str) -> None:
    with refused(connection, "0A000", "pg_cron"):
        set_up(connection, name)


def test_without_pg_cron_there_are_no_logs(connection: Connection) -> None:
    assert clean_up(connection) == 0
