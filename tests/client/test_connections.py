"""What connections ask for, how they come back, and how little is said meanwhile."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from client.flows import greeting
from conftest import as_superuser
from pgflow import ConnectionLost, PgFlow, SchemaError, sync
from pgflow.connecting import Sparing, connection_options, is_refused_by_pooler

URL = "postgresql://me@db.example/app"


def settings(url: str) -> dict[str, str]:
    with psycopg.connect(url, **connection_options(url)) as connection:
        rows = connection.execute(
            "select name, setting from pg_settings where name in"
            " ('application_name', 'idle_in_transaction_session_timeout', 'search_path', 'client_encoding')"
        )
        return dict(rows.fetchall())


def test_a_session_is_named_and_is_ended_when_it_sits_in_a_transaction(newest_database_url: str) -> None:
    found = settings(newest_database_url)
    assert (found["application_name"], found["client_encoding"]) == ("pgflow", "UTF8")
    assert found["idle_in_transaction_session_timeout"] == "60000"


def test_what_the_url_says_is_left_alone(newest_database_url: str) -> None:
    options = "-c search_path=elsewhere -c idle_in_transaction_session_timeout=5s"
    found = settings(make_conninfo(newest_database_url, application_name="mine", options=options))
    assert (found["application_name"], found["search_path"]) == ("mine", "elsewhere")
    assert found["idle_in_transaction_session_timeout"] == "5000"
    asked = connection_options(f"{URL}?keepalives_idle=7&connect_timeout=3")
    assert not {"keepalives_idle", "connect_timeout"} & set(asked)
    assert asked["keepalives_count"] == 4


def test_behind_a_pooler_a_session_begins_without_settings() -> None:
    assert "options" not in connection_options(URL, pooled=True)
    assert connection_options(URL)["prepare_threshold"] is None


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (psycopg.OperationalError("FATAL: unsupported startup parameter: options"), True),
        (
            psycopg.OperationalError("unsupported startup parameter in options: idle_in_transaction_session_timeout"),
            True,
        ),
        (psycopg.OperationalError("connection refused"), False),
        (ValueError("unsupported startup parameter"), False),
    ],
)
def test_the_refusal_of_a_pooler_is_recognised(error: Exception, refused: bool) -> None:
    assert is_refused_by_pooler(error) is refused


@pytest.mark.parametrize("kind", [PgFlow, sync.PgFlow], ids=["async", "sync"])
async def test_a_server_that_became_read_only_is_left_for_another_connection(
    newest_database_url: str, kind: Any
) -> None:
    app = kind(newest_database_url, pool_size=1)
    await call(app.ensure_compiled, greeting)
    name = psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"]
    with as_superuser(newest_database_url, autocommit=True) as superuser:
        superuser.execute(f"alter database {name} set default_transaction_read_only = on")
        superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        with pytest.raises(Exception, match=r"read-only|terminating|closed"):
            await call(app.start_flow, greeting, 1)
        with pytest.raises(Exception, match="read-only"):
            await call(app.start_flow, greeting, 1)
        superuser.execute(f"alter database {name} reset default_transaction_read_only")
        try:
            run = await call(app.start_flow, greeting, 1)
        except SchemaError:  # the pool had opened this connection before the setting was taken back
            run = await call(app.start_flow, greeting, 1)
    assert run.status == "started"
    await call(app.close)


async def call(method: Any, *arguments: Any) -> Any:
    """Call a method of either client."""
    answer = method(*arguments)
    return await answer if hasattr(answer, "__await__") else answer


async def test_too_many_connections_is_an_error_that_says_so(newest_database_url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"]
    with as_superuser(newest_database_url, autocommit=True) as superuser:
        superuser.execute(f"alter database {name} connection limit 0")
        with pytest.raises(ConnectionLost, match="too many connections"):
            await PgFlow(newest_database_url).open()


class TestSparing:
    def test_a_message_of_the_pool_passes_once_a_minute(self) -> None:
        sparing = Sparing()
        assert [sparing.filter(record("error connecting in %r: %s", "pgflow", "no")) for _ in range(3)] == [1, 0, 0]
        assert sparing.filter(record("reconnection attempt in pool %r failed after %s sec", "pgflow", 15))

    def test_it_passes_again_after_its_time(self) -> None:
        sparing = Sparing(seconds=0)
        assert [sparing.filter(record("error connecting in %r: %s", "pgflow", "no")) for _ in range(3)] == [1, 1, 1]

    def test_pools_of_others_are_none_of_its_business(self) -> None:
        sparing = Sparing()
        assert all(sparing.filter(record("error connecting in %r: %s", "theirs", "no")) for _ in range(3))
        assert all(sparing.filter(record("without arguments")) for _ in range(3))


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("psycopg.pool", logging.WARNING, "pool.py", 1, message, arguments, None)
