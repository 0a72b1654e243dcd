"""Whether this is a local Supabase."""

from __future__ import annotations

import pytest

from sql.engine import Connection, value

LOCAL_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"


def is_local(connection: Connection, secret: str) -> bool | None:
    connection.execute("select set_config('app.settings.jwt_secret', %s, true)", (secret,))
    found: bool | None = value(connection, "select pgflow.is_local()")
    return found


def test_without_the_setting_it_is_not_local(connection: Connection) -> None:
    assert value(connection, "select pgflow.is_local()") is False


def test_the_published_development_secret_makes_it_local(connection: Connection) -> None:
    assert is_local(connection, LOCAL_SECRET) is True


@pytest.mark.parametrize("secret", ["", "another", LOCAL_SECRET.upper(), f"{LOCAL_SECRET} "])
def test_any_other_secret_is_not_local(connection: Connection, secret: str) -> None:
    assert is_local(connection, secret) is False
