"""Which files are looked at, and what counts as a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgflow.cli.watching import Watcher


def changes(folder: Path, path: str) -> list[str]:
    """Write a file after a watcher was made, and return what it says."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    watcher = Watcher(folder)
    (folder / path).write_text("changed")
    return watcher.changed()


@pytest.mark.parametrize("path", ["flows.py", "deep/er/flows.py", "pyproject.toml", ".env", "日本.py"])
def test_sources_and_settings_are_watched(tmp_path, path):
    assert changes(tmp_path, path) == [path]


@pytest.mark.parametrize(
    "path",
    ["README.md", ".git/x.py", ".venv/x.py", ".pgflow/x.py", "__pycache__/x.py", "node_modules/x.py", "flows.pyc"],
)
def test_everything_else_is_not(tmp_path, path):
    assert changes(tmp_path, path) == []


def test_virtual_environments_of_any_name_are_left_out(tmp_path):
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "pyvenv.cfg").touch()
    assert changes(tmp_path, "environment/lib/x.py") == []


def test_a_change_is_told_once(tmp_path):
    watcher = Watcher(tmp_path)
    (tmp_path / "a.py").touch()
    (tmp_path / "b.py").touch()
    assert watcher.changed() == ["a.py", "b.py"]
    assert watcher.changed() == []


def test_a_deleted_and_a_renamed_file_are_changes(tmp_path):
    (tmp_path / "a.py").touch()
    (tmp_path / "b.py").touch()
    watcher = Watcher(tmp_path)
    (tmp_path / "a.py").unlink()
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert watcher.changed() == ["a.py", "b.py", "c.py"]


def test_the_same_size_at_another_time_is_a_change(tmp_path):
    (tmp_path / "a.py").write_text("1")
    watcher = Watcher(tmp_path)
    os.utime(tmp_path / "a.py", (1, 1))
    assert watcher.changed() == ["a.py"]


def test_links_in_circles_end(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "broken.py").symlink_to(tmp_path / "nowhere")
    assert changes(tmp_path, "a.py") == ["a.py"]


def test_a_folder_that_vanishes_is_no_disaster(tmp_path):
    watcher = Watcher(tmp_path / "gone")
    assert watcher.changed() == []
