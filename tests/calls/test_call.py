"""Calls as values, without a database."""

from __future__ import annotations

import pytest

from pgflow.calls.call import Call, nothing


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", "select 1"),
        ("select f(%s, %s::text::jsonb)", "select f($1, $2::text::jsonb)"),
        ("select %s % %s" + " + %s" * 9, "select $1 % $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 + $10 + $11"),
        ("select 7 %% %s", "select 7 % $1"),
        ("select 'a%%s', %s", "select 'a%s', $1"),
    ],
)
def test_placeholders_are_numbered_in_their_order(sql: str, expected: str) -> None:
    assert Call(sql, (), nothing).numbered() == expected
