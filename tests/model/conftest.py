"""Says at the end of a test run what the model test has tried."""

from __future__ import annotations

from collections import Counter

import pytest

STATISTICS: pytest.StashKey[dict[str, Counter[str]]] = pytest.StashKey()


@pytest.fixture
def statistics(request: pytest.FixtureRequest) -> Counter[str]:
    """What is counted here is printed in the summary."""
    counted: Counter[str] = Counter()
    request.config.stash.setdefault(STATISTICS, {})[request.node.name] = counted
    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for test, counted in config.stash.get(STATISTICS, {}).items():
        terminalreporter.section(test, "-")
        terminalreporter.write_line(", ".join(f"{name} {number}" for name, number in sorted(counted.items())))
