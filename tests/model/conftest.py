"""Says at the end of a test run what the tests of this folder have tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

STATISTICS = "statistics"


@pytest.fixture
def statistics(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """What is counted here is printed in the summary."""
    counted: Counter[str] = Counter()
    yield counted
    # Travels with the report of the test, which may have run in another process.
    text = ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))
    request.node.user_properties.append((STATISTICS, text))
