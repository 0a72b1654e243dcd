"""`track_worker_function` registers a function that a platform starts; again it only says that it is still there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sql.engine import Connection, Row, row, value


def track(connection: Connection, function_name: str) -> Row:
    connection.execute("select pgflow.track_worker_function(function_name => %s)", [function_name])
    return row(connection, "select * from pgflow.worker_functions where function_name = %s", function_name)


def test_a_new_function_is_enabled_debounced_by_six_seconds_and_never_invoked(connection: Connection) -> None:
    tracked = track(connection, "send-mail")
    assert (tracked["enabled"], tracked["debounce"], tracked["last_invoked_at"]) == (True, timedelta(seconds=6), None)


def test_a_second_call_in_the_same_transaction_refreshes_updated_at(connection: Connection) -> None:
    track(connection, "send_mail")
    tracked = track(connection, "send_mail")
    assert tracked["updated_at"] > tracked["created_at"]


def test_a_second_call_adds_no_second_row(connection: Connection) -> None:
    track(connection, "send_mail")
    track(connection, "send_mail")
    assert value(connection, "select count(*) from pgflow.worker_functions") == 1


def test_a_second_call_does_not_enable_a_disabled_function(connection: Connection) -> None:
    track(connection, "send_mail")
    connection.execute("update pgflow.worker_functions set enabled = false")
    assert track(connection, "send_mail")["enabled"] is False


def test_a_second_call_keeps_when_the_function_was_invoked(connection: Connection) -> None:
    track(connection, "send_mail")
    connection.execute("update pgflow.worker_functions set last_invoked_at = '2020-01-01 00:00:00+00'")
    assert track(connection, "send_mail")["last_invoked_at"].year == 2020


def test_a_second_call_leaves_other_functions_alone(connection: Connection) -> None:
    before = track(connection, "other")
    track(connection, "send_mail")
    track(connection, "send_mail")
    assert row(connection, "select * from pgflow.worker_functions where function_name = 'other'") == before


@pytest.mark.parametrize("name", ["send-mail", "Send Mail", "", "'; drop table x; --", "ü"])
def test_any_text_is_a_function_name(connection: Connection, name: str) -> None:
    assert track(connection, name)["function_name"] == name
