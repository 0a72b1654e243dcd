"""The linter plpgsql_check finds nothing in any function in PL/pgSQL, where the server has it.

A function in which it errs says so itself, in a comment of the linter with the reason.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

# The linter looks for everything a function mentions, also for what the function itself looks for first.
STAND_INS = """
    create schema realtime;
    create function realtime.send(jsonb, text, text, boolean) returns void language sql as '';
    create schema vault;
    create table vault.decrypted_secrets (name text, decrypted_secret text);
    create schema net;
    create function net.http_post(url text, headers jsonb, body jsonb) returns bigint
      language sql as 'select 1::bigint';
    create schema cron;
    create table cron.job (jobname text);
    create table cron.job_run_details (end_time timestamptz);
    create function cron.schedule(text, text, text) returns bigint language sql as 'select 1::bigint';
    create function cron.unschedule(text) returns boolean language sql as 'select true';
"""

FINDINGS = """
    select p.proname as function, found.level, found.message, found.lineno
    from pg_proc p
    join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    cross join lateral plpgsql_check_function_tb(
      p.oid, fatal_errors => false, extra_warnings => true, performance_warnings => true, security_warnings => true,
      compatibility_warnings => true
    ) as found
    where p.pronamespace = 'pgflow'::regnamespace
    order by p.proname, found.lineno
"""


def test_the_linter_finds_nothing_in_any_function(database_url: str) -> None:
    with psycopg.connect(make_conninfo(database_url, user="postgres"), row_factory=dict_row) as connection:
        if not offers_the_linter(connection):
            pytest.skip("this server doesn't offer the extension plpgsql_check")
        connection.execute("create extension plpgsql_check")
        connection.execute(STAND_INS)
        found = connection.execute(FINDINGS).fetchall()
    assert found == []


def offers_the_linter(connection: psycopg.Connection[Any]) -> bool:
    """Whether the extension can be installed on this server."""
    query = "select from pg_available_extensions where name = 'plpgsql_check'"
    return connection.execute(query).fetchone() is not None
