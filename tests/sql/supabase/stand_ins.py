"""What Supabase's platform offers, as far as the engine looks at it, made of plain tables and functions."""

from __future__ import annotations

from sql.engine import Connection, Row, rows

PROJECT = {"supabase_project_id": "abcdef"}
SECRETS = {**PROJECT, "pgflow_auth_secret": "s3cret"}


def add_cron(connection: Connection) -> None:
    """Put pg_cron's tables and functions in place; unlike the original, a name may be scheduled twice."""
    connection.execute("""
        create schema cron;
        create table cron.job (
          jobid bigint generated always as identity, schedule text, command text, jobname text
        );
        create table cron.job_run_details (runid bigint generated always as identity, end_time timestamptz);

        create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql as
        $$ insert into cron.job (jobname, schedule, command) values ($1, $2, $3) returning jobid $$;

        create function cron.unschedule(job_name text) returns boolean language plpgsql as
        $$ begin
          delete from cron.job where jobname = $1;
          if not found then
            raise exception 'could not find valid entry for job ''%''', $1;
          end if;
          return true;
        end $$;
    """)


def add_vault(connection: Connection, **secrets: str) -> None:
    """Put the vault in place with these secrets."""
    connection.execute("create schema vault")
    connection.execute("create table vault.decrypted_secrets (name text, decrypted_secret text)")
    for name, secret in secrets.items():
        connection.execute("insert into vault.decrypted_secrets values (%s, %s)", (name, secret))


def add_net(connection: Connection) -> None:
    """Put pg_net's `http_post` in place, which remembers the requests."""
    connection.execute("""
        create schema net;
        create table net.requests (id bigint generated always as identity, url text, headers jsonb, body jsonb);
        create function net.http_post(
          url text, body jsonb default '{}', params jsonb default '{}',
          headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds int default 5000
        ) returns bigint language sql as
        $$ insert into net.requests (url, headers, body) values (url, headers, body) returning id $$;
    """)


def requests(connection: Connection) -> list[Row]:
    """Return the requests made so far, in their order."""
    return rows(connection, "select * from net.requests order by id")


def jobs(connection: Connection) -> dict[str, tuple[str, str]]:
    """Return schedule and command of each cron job by name; no name may occur twice."""
    found = rows(connection, "select jobname, schedule, command from cron.job order by jobname")
    by_name = {job["jobname"]: (job["schedule"], job["command"]) for job in found}
    assert len(by_name) == len(found), found
    return by_name
