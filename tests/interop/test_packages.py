"""The packages are what the tests believe them to be."""

from __future__ import annotations

import json

from interop.packages import MIGRATIONS, REFERENCE_CORE


def test_the_reference_has_the_version_that_is_pinned() -> None:
    assert json.loads((REFERENCE_CORE / "package.json").read_text())["version"] == "0.8.1"


def test_the_reference_brings_its_migrations() -> None:
    names = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
    assert len(names) == 12
    assert names[-1].startswith("20251104080523")
