"""How many seconds pass before the next attempt."""

from __future__ import annotations

import pytest

from sql.engine import Connection, value

LARGEST = 2**31 - 1


@pytest.mark.feature("A5.22")
@pytest.mark.parametrize(
    ("base_delay", "attempts", "seconds"),
    [
        ("1", 2, 4),
        ("2", 3, 16),
        ("1.5", 1, 3),
        ("1.7", 1, 3),
        ("0.4", 1, 0),
        ("5", 0, 5),
        ("5", 1, 10),
        ("5", 2, 20),
        ("5", 3, 40),
        ("0", 5, 0),
        ("5", 28, 5 * 2**28),
        ("1", 30, 2**30),
    ],
)
def test_the_delay_doubles_with_each_attempt(
    connection: Connection, base_delay: str, attempts: int, seconds: int
) -> None:
    assert value(connection, "select pgflow.calculate_retry_delay(%s::numeric, %s)", base_delay, attempts) == seconds


@pytest.mark.parametrize(("base_delay", "attempts"), [(5, 29), (1, 31), (1, 1000), (5, LARGEST), (LARGEST, LARGEST)])
def test_a_delay_that_fits_no_int_is_capped(connection: Connection, base_delay: int, attempts: int) -> None:
    query = "select pgflow.calculate_retry_delay(base_delay => %s::numeric, attempts_count => %s)"
    assert value(connection, query, base_delay, attempts) == LARGEST


def test_without_a_base_delay_no_number_of_attempts_matters(connection: Connection) -> None:
    assert value(connection, "select pgflow.calculate_retry_delay(0, %s)", LARGEST) == 0
