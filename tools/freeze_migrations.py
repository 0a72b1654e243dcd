"""Freezes migrations at a release: `freeze_migrations.py` freezes the new ones, `--check` only compares.

Freezing writes the included sources into the migration itself, so that the sources can go on changing, and adds the
file to `migrations.lock`. The text under the checksum stays the same: databases that have it applied notice nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pgflow.schema import changed_since_release, load_migrations

SOURCES = Path(__file__).resolve().parent.parent / "src" / "pgflow" / "sql"


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    changed = changed_since_release(options.sources)
    if changed:
        print(
            f"released migrations were changed: {', '.join(changed)}; restore them and add a new one", file=sys.stderr
        )
        return 1
    if not options.check:
        for name in freeze(options.sources):
            print(f"frozen: {name}")
    return 0


def freeze(sources: Path) -> list[str]:
    """Freeze the migrations that aren't yet, and return their file names."""
    directory = sources / "migrations"
    lock = directory / "migrations.lock"
    released = {line.split()[0] for line in lock.read_text(encoding="utf-8").splitlines()}
    new = [migration for migration in load_migrations(sources) if f"{migration.label}.sql" not in released]
    for migration in new:
        (directory / f"{migration.label}.sql").write_text(migration.sql, encoding="utf-8")
        with lock.open("a", encoding="utf-8") as file:
            file.write(f"{migration.label}.sql {migration.checksum}\n")
    return [f"{migration.label}.sql" for migration in new]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Freeze the migrations of a release.")
    parser.add_argument("--check", action="store_true", help="only compare frozen migrations with migrations.lock")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder of the SQL sources")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
