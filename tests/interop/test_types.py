"""What tests run in Node is what TypeScript accepts."""

from __future__ import annotations

import pytest

from interop.reference import type_errors


@pytest.mark.slow
def test_the_programs_of_these_tests_are_accepted() -> None:
    assert type_errors("--project", "tsconfig.json") == ""
