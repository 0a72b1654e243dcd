"""Reading SQL sources and freezing migrations; no database."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pgflow.errors import SchemaError
from pgflow.schema import changed_since_release, expand, load_migrations

FREEZE = Path(__file__).parents[2] / "tools" / "freeze_migrations.py"


def test_an_include_is_replaced_by_the_text_of_the_file(write):
    write("lib/one.sql", "select 1;")
    top = write("schema.sql", "-- top\n\\ir lib/one.sql\nselect 2;\n")
    assert expand(top) == "-- top\n-- lib/one.sql\nselect 1;\nselect 2;\n"


def test_includes_are_relative_to_the_including_file(write):
    write("lib/one.sql", "\\ir two.sql\n")
    write("lib/two.sql", "select 2;\n")
    top = write("schema.sql", "\\ir lib/one.sql\n")
    assert expand(top) == "-- lib/one.sql\n-- two.sql\nselect 2;\n"


def test_an_expanded_text_expands_to_itself(write):
    write("lib/one.sql", "select 1;")
    top = write("schema.sql", "\\ir lib/one.sql\n")
    once = expand(top)
    top.write_text(once)
    assert expand(top) == once


def test_a_source_that_includes_itself_is_refused(write):
    write("lib/one.sql", "\\ir ../schema.sql\n")
    top = write("schema.sql", "\\ir lib/one.sql\n")
    with pytest.raises(SchemaError, match="includes itself"):
        expand(top)


def test_a_missing_source_is_named(write):
    top = write("schema.sql", "\\ir lib/none.sql\n")
    with pytest.raises(SchemaError, match=r"lib/none\.sql is missing"):
        expand(top)


def test_migrations_come_in_order_with_the_hash_of_their_expanded_text(migrations):
    assert [migration.label for migration in migrations] == ["0001_initial", "0002_count"]
    first = migrations[0]
    assert first.sql == "-- ../tables/notes.sql\ncreate table pgflow.notes (note text);\n"
    assert first.checksum == hashlib.sha256(first.sql.encode()).hexdigest()


@pytest.mark.parametrize("names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_gaps_and_duplicates_in_the_numbers_are_refused(write, tmp_path, names):
    for name in names:
        write(f"migrations/{name}", "select 1;\n")
    with pytest.raises(SchemaError, match="without gaps"):
        load_migrations(tmp_path)


def test_a_file_that_is_not_named_as_a_migration_is_refused(write, tmp_path):
    write("migrations/first.sql", "select 1;\n")
    with pytest.raises(SchemaError, match="NNNN_name"):
        load_migrations(tmp_path)


def test_the_packaged_migrations_can_be_loaded():
    assert load_migrations()[0].label == "0001_initial"


def test_no_released_migration_of_the_package_was_changed():
    assert changed_since_release() == ()


def freeze(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FREEZE), "--sources", str(root), *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_freezing_keeps_the_checksums_and_writes_the_sources_into_the_file(write, migrations, tmp_path):
    assert freeze(tmp_path).returncode == 0
    assert load_migrations(tmp_path) == migrations
    assert (tmp_path / "migrations" / "0001_initial.sql").read_text() == migrations[0].sql
    lock = (tmp_path / "migrations" / "migrations.lock").read_text()
    assert lock == "".join(f"{migration.label}.sql {migration.checksum}\n" for migration in migrations)


def test_sources_may_change_after_their_migration_was_frozen(write, migrations, tmp_path):
    freeze(tmp_path)
    write("tables/notes.sql", "create table pgflow.notes (note text, author text);\n")
    assert changed_since_release(tmp_path) == ()


def test_freezing_twice_changes_nothing(migrations, tmp_path):
    freeze(tmp_path)
    lock = (tmp_path / "migrations" / "migrations.lock").read_text()
    assert freeze(tmp_path).stdout == ""
    assert (tmp_path / "migrations" / "migrations.lock").read_text() == lock


def test_a_frozen_migration_that_changed_is_named_and_refused(write, migrations, tmp_path):
    freeze(tmp_path)
    write("migrations/0002_count.sql", "select 2;\n")
    assert changed_since_release(tmp_path) == ("0002_count.sql",)
    checked = freeze(tmp_path, "--check")
    assert checked.returncode == 1
    assert "0002_count.sql" in checked.stderr


def test_a_frozen_migration_that_was_removed_is_named(migrations, tmp_path):
    freeze(tmp_path)
    (tmp_path / "migrations" / "0002_count.sql").unlink()
    assert changed_since_release(tmp_path) == ("0002_count.sql",)


def test_checking_freezes_nothing(migrations, tmp_path):
    assert freeze(tmp_path, "--check").returncode == 0
    assert (tmp_path / "migrations" / "migrations.lock").read_text() == ""
