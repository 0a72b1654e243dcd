"""Everything here needs Node and the npm packages of the reference implementation."""

from __future__ import annotations

import pytest

from interop.packages import require_packages


@pytest.fixture(scope="session", autouse=True)
def npm_packages() -> None:
    require_packages()
