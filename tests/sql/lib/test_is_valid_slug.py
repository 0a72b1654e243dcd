"""Which texts may name a flow or a step."""

from __future__ import annotations

import pytest

from sql.engine import Connection, value

VALID = ["a", "A", "_", "_hidden", "step_1", "Run", "RUN", "run_", "running", "camelCase", "x" * 128]
INVALID = [
    None,
    "",
    "1st",
    "with-dash",
    "with space",
    " a",
    "a ",
    "a.b",
    "run",
    "émile",
    "été",
    "aé",
    "a\n",
    "a\nb",
    "a;b",
    "x" * 129,
]


@pytest.mark.parametrize("slug", VALID)
def test_a_slug_is_valid(connection: Connection, slug: str) -> None:
    assert value(connection, "select pgflow.is_valid_slug(%s)", slug) is True


@pytest.mark.parametrize("slug", INVALID)
def test_a_slug_is_invalid(connection: Connection, slug: str | None) -> None:
    assert value(connection, "select pgflow.is_valid_slug(%s)", slug) is False


def test_the_argument_is_named_slug(connection: Connection) -> None:
    assert value(connection, "select pgflow.is_valid_slug(slug => 'a')") is True
