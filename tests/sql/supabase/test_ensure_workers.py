"""`ensure_workers` calls the registered functions that should run and that nobody runs."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sql.engine import Connection, Row, connect, rows, snapshot, value
from sql.sessions import sessions
from sql.supabase.stand_ins import PROJECT, SECRETS, add_net, add_vault, requests

DEVELOPMENT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"


@pytest.fixture
def platform(connection: Connection) -> Connection:
    """A database of Supabase with all secrets."""
    add_vault(connection, **SECRETS)
    add_net(connection)
    return connection


@pytest.fixture
def local(connection: Connection) -> Connection:
    """A Supabase on a developer's machine, which has no secrets."""
    connection.execute("select set_config('app.settings.jwt_secret', %s, true)", (DEVELOPMENT_SECRET,))
    add_net(connection)
    return connection


def track(connection: Connection, *names: str) -> None:
    for name in names:
        connection.execute("select pgflow.track_worker_function(%s)", (name,))


def change(connection: Connection, name: str, assignments: str) -> None:
    connection.execute(f"update pgflow.worker_functions set {assignments} where function_name = %s", (name,))


def add_worker(connection: Connection, name: str, *, beat: str = "0", ended: str | None = None) -> None:
    """Add a worker of a function whose last heartbeat is so long ago, stopped or deprecated if a column says so."""
    worker_id = uuid4()
    connection.execute(
        "insert into pgflow.workers (worker_id, queue_name, function_name, last_heartbeat_at)"
        " values (%s, 'flow', %s, now() - %s::interval)",
        (worker_id, name, beat),
    )
    if ended:
        connection.execute(f"update pgflow.workers set {ended} = now() where worker_id = %s", (worker_id,))


def ensure(connection: Connection) -> list[Row]:
    return rows(connection, "select * from pgflow.ensure_workers()")


def pinged(connection: Connection) -> list[str]:
    return [found["function_name"] for found in ensure(connection)]


def last_invoked(connection: Connection, name: str) -> object:
    query = "select last_invoked_at from pgflow.worker_functions where function_name = %s"
    return value(connection, query, name)


# On a developer's machine


def test_locally_every_enabled_function_is_called_whatever_runs(local: Connection) -> None:
    track(local, "idle", "working", "recent", "off")
    add_worker(local, "working")
    change(local, "recent", "last_invoked_at = now()")
    change(local, "off", "enabled = false")
    assert pinged(local) == ["idle", "recent", "working"]


def test_locally_the_gateway_is_called_without_authorization(local: Connection) -> None:
    track(local, "my-function")
    ensure(local)
    [request] = requests(local)
    assert (request["url"], request["headers"], request["body"]) == (
        "http://kong:8000/functions/v1/my-function",
        {},
        {},
    )


# Elsewhere: what is called


def test_the_project_is_called_with_its_key(platform: Connection) -> None:
    track(platform, "my-function")
    ensure(platform)
    [request] = requests(platform)
    assert (request["url"], request["headers"], request["body"]) == (
        "https://abcdef.supabase.co/functions/v1/my-function",
        {"Content-Type": "application/json", "Authorization": "Bearer s3cret"},
        {},
    )


def test_each_call_has_its_row_with_the_id_of_its_request(platform: Connection) -> None:
    track(platform, "one", "two")
    found = ensure(platform)
    assert [(row["function_name"], row["invoked"]) for row in found] == [("one", True), ("two", True)]
    assert [row["request_id"] for row in found] == [request["id"] for request in requests(platform)]


def test_a_called_function_remembers_the_wall_time(platform: Connection) -> None:
    track(platform, "one")
    ensure(platform)
    query = "select last_invoked_at > now() and last_invoked_at <= clock_timestamp() from pgflow.worker_functions"
    assert value(platform, query) is True


def test_results_can_be_filtered_by_the_qualified_column(platform: Connection) -> None:
    track(platform, "one", "two")
    query = (
        "select ensure_workers.function_name from pgflow.ensure_workers() where ensure_workers.function_name = 'two'"
    )
    assert value(platform, query) == "two"


def test_without_registered_functions_nothing_is_called(platform: Connection) -> None:
    assert ensure(platform) == []


# Elsewhere: which functions


@pytest.mark.parametrize(("ago", "called"), [("5 seconds", []), ("6 seconds", []), ("7 seconds", ["one"])])
def test_a_function_is_not_called_again_within_its_debounce(platform: Connection, ago: str, called: list[str]) -> None:
    track(platform, "one")
    change(platform, "one", f"last_invoked_at = now() - interval '{ago}'")
    assert pinged(platform) == called


def test_each_function_has_its_own_debounce(platform: Connection) -> None:
    track(platform, "eager", "patient")
    change(platform, "eager", "debounce = '1 second', last_invoked_at = now() - interval '10 seconds'")
    change(platform, "patient", "debounce = '1 minute', last_invoked_at = now() - interval '10 seconds'")
    assert pinged(platform) == ["eager"]


def test_a_function_that_is_not_called_keeps_its_last_invocation(platform: Connection) -> None:
    track(platform, "one", "two")
    change(platform, "one", "last_invoked_at = now() - interval '1 second'")
    before = last_invoked(platform, "one")
    assert pinged(platform) == ["two"]
    assert last_invoked(platform, "one") == before


def test_a_disabled_function_is_not_called(platform: Connection) -> None:
    track(platform, "one")
    change(platform, "one", "enabled = false")
    assert pinged(platform) == []


def test_a_function_with_a_live_worker_is_not_called(platform: Connection) -> None:
    track(platform, "one", "two")
    add_worker(platform, "one")
    assert pinged(platform) == ["two"]


@pytest.mark.parametrize("ended", ["stopped_at", "deprecated_at"])
def test_a_worker_that_has_ended_or_is_asked_to_is_not_live(platform: Connection, ended: str) -> None:
    track(platform, "one")
    add_worker(platform, "one", ended=ended)
    assert pinged(platform) == ["one"]


@pytest.mark.parametrize(("beat", "called"), [("5 seconds", []), ("6 seconds", ["one"]), ("1 hour", ["one"])])
def test_a_worker_is_live_for_the_debounce_after_its_heartbeat(
    platform: Connection, beat: str, called: list[str]
) -> None:
    track(platform, "one")
    add_worker(platform, "one", beat=beat)
    assert pinged(platform) == called


def test_one_live_worker_among_dead_ones_suffices(platform: Connection) -> None:
    track(platform, "one")
    add_worker(platform, "one", beat="1 hour")
    add_worker(platform, "one", ended="stopped_at")
    add_worker(platform, "one")
    assert pinged(platform) == []


# Elsewhere: secrets


def test_the_own_secret_comes_before_the_key_of_the_service_role(connection: Connection) -> None:
    add_vault(connection, **SECRETS, supabase_service_role_key="fallback")
    add_net(connection)
    track(connection, "one")
    ensure(connection)
    assert requests(connection)[0]["headers"]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("own", [{}, {"pgflow_auth_secret": ""}])
def test_without_an_own_secret_the_key_of_the_service_role_is_taken(
    connection: Connection, own: dict[str, str]
) -> None:
    add_vault(connection, **PROJECT, **own, supabase_service_role_key="fallback")
    add_net(connection)
    track(connection, "one")
    ensure(connection)
    assert requests(connection)[0]["headers"]["Authorization"] == "Bearer fallback"


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        PROJECT,
        {"pgflow_auth_secret": "s3cret"},
        {**SECRETS, "supabase_project_id": ""},
        {**PROJECT, "pgflow_auth_secret": "", "supabase_service_role_key": ""},
    ],
)
def test_without_project_or_key_nothing_is_called_and_nothing_changes(
    connection: Connection, secrets: dict[str, str]
) -> None:
    add_vault(connection, **secrets)
    add_net(connection)
    track(connection, "one")
    assert (ensure(connection), requests(connection)) == ([], [])
    assert last_invoked(connection, "one") is None


def test_without_a_vault_there_are_no_secrets(connection: Connection) -> None:
    add_net(connection)
    track(connection, "one")
    assert ensure(connection) == []


def test_without_pg_net_nothing_is_called_and_nothing_changes(connection: Connection) -> None:
    add_vault(connection, **SECRETS)
    track(connection, "one")
    before = snapshot(connection)
    assert ensure(connection) == []
    assert (snapshot(connection), last_invoked(connection, "one")) == (before, None)


# Overlapping calls


def test_of_two_calls_at_once_the_second_leaves_alone_what_the_first_calls(database_url: str) -> None:
    with connect(database_url) as connection:
        add_vault(connection, **SECRETS)
        add_net(connection)
        track(connection, "one")
    with sessions(database_url) as (first, second):
        assert pinged(first.connection) == ["one"]
        second.connection.execute("set lock_timeout = '1ms'")
        assert pinged(second.connection) == []
        first.connection.commit()
        second.connection.commit()
        assert pinged(second.connection) == []
        assert len(requests(second.connection)) == 1


def test_a_call_that_is_rolled_back_can_be_made_again(database_url: str) -> None:
    with connect(database_url) as connection:
        add_vault(connection, **SECRETS)
        add_net(connection)
        track(connection, "one")
        connection.commit()
        assert pinged(connection) == ["one"]
        connection.rollback()
        assert pinged(connection) == ["one"]
