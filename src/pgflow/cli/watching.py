"""Which files of a project have changed.

It looks again and again instead of asking the system to be told: that needs no further package, works on folders that
are mounted from elsewhere, and never sees the data of the embedded server, which change all the time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

INTERVAL_SECONDS = 0.25
_SETTLED_SECONDS = 0.05
_LONGEST_SETTLING_SECONDS = 2.0
_SUFFIXES = (".py", ".toml")
_NAMES = (".env",)
_IGNORED = ("__pycache__", "node_modules")

Snapshot: TypeAlias = dict[str, tuple[int, int]]


class Watcher:
    """Notices changes of the Python and TOML files below a folder, and of its `.env`.

    Hidden folders, `__pycache__`, `node_modules` and virtual environments aren't looked into.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = _snapshot(root)

    def changed(self) -> list[str]:
        """Return the files that were changed, made or deleted since the last call, relative to the folder.

        After a change it waits until nothing changes for a moment: editors and version control write several files.
        """
        now = _snapshot(self._root)
        if now == self._seen:
            return []
        deadline = time.monotonic() + _LONGEST_SETTLING_SECONDS
        while time.monotonic() < deadline:
            time.sleep(_SETTLED_SECONDS)
            before, now = now, _snapshot(self._root)
            if now == before:
                break
        paths = [path for path in {**self._seen, **now} if self._seen.get(path) != now.get(path)]
        self._seen = now
        return sorted(os.path.relpath(path, self._root) for path in paths)


def _snapshot(root: Path) -> Snapshot:
    found: Snapshot = {}
    for entry in _files(root):
        with suppress(OSError):  # gone meanwhile
            status = entry.stat()
            found[entry.path] = (status.st_mtime_ns, status.st_size)
    return found


def _files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError:  # gone meanwhile, or not for us
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.name.endswith(_SUFFIXES) or entry.name in _NAMES:
            yield entry
        elif not entry.name.startswith(".") and entry.name not in _IGNORED and _is_folder(entry):
            yield from _files(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
