"""How many jobs the handlers of a worker have run, and when the last one began, readable while they run.

Every process of a worker writes a file of sixteen bytes through shared memory, so that counting costs the peers next to
nothing and whoever watches asks the database only at the end.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from pathlib import Path

FOLDER = "BENCH_TALLIES"
"""Environment variable that names the folder of the files."""

_LAYOUT = struct.Struct("=qq")


class _Tally:
    """The file of this process."""

    def __init__(self) -> None:
        path = Path(os.environ[FOLDER]) / str(os.getpid())
        path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._lock = threading.Lock()
        self._count = 0

    def add(self) -> None:
        began = time.monotonic_ns()
        with self._lock:
            self._count += 1
            _LAYOUT.pack_into(self._memory, 0, self._count, began)


_own: _Tally | None = None


def handled() -> None:
    """Count a job of this process; every handler calls it once, first."""
    global _own
    if _own is None:
        _own = _Tally()
    _own.add()


def _forget() -> None:
    global _own
    _own = None


os.register_at_fork(after_in_child=_forget)


def read(folder: Path) -> tuple[int, int]:
    """Return how many jobs all processes have run, and when the last one began (monotonic clock, nanoseconds)."""
    counts = [_LAYOUT.unpack(content) for path in folder.iterdir() if len(content := path.read_bytes()) == _LAYOUT.size]
    return sum(count for count, _ in counts), max((began for _, began in counts), default=0)
