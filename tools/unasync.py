"""Write src/pgflow/_sync from src/pgflow/_async, or check that it is what would be written.

Usage: python tools/unasync.py [--check]
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "pgflow"

REPLACEMENTS = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in [
        (r"await asyncio\.to_thread\((\w+), ", r"\1("),
        (r"asyncio\.(Lock|Semaphore)\b", r"threading.\1"),
        (r"asyncio\.sleep\b", "time.sleep"),
        (r"^import asyncio\nimport time$", "import time"),
        (r"^import asyncio$", "import threading"),
        (r"import AsyncIterator, Iterable$", "import Iterable, Iterator"),
        (r"import AsyncIterator, Callable$", "import Callable, Iterator"),
        (r"\basync (def|with|for)\b", r"\1"),
        (r"\bawait ", ""),
        (r"\bAsync(Connection|ConnectionPool|Cursor|Iterator|RunWatcher|TaskTransaction|TransactionPool)\b", r"\1"),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\b__aenter__\b", "__enter__"),
        (r"\b__aexit__\b", "__exit__"),
        (r"\bpgflow\._async\b", "pgflow._sync"),
        (r"\bpgflow\.callers import awaiting\b", "pgflow.callers import blocking"),
    ]
]


def unasync(source: str) -> str:
    """Return the blocking twin of an async module."""
    for pattern, replacement in REPLACEMENTS:
        source = pattern.sub(replacement, source)
    return source


def main() -> int:
    check = "--check" in sys.argv[1:]
    outdated = False
    for path in sorted((PACKAGE / "_async").glob("[!_]*.py")):
        target = PACKAGE / "_sync" / path.name
        wanted = unasync(path.read_text())
        present = target.read_text() if target.exists() else ""
        if wanted == present:
            continue
        outdated = True
        if check:
            print(
                "".join(
                    difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(target), "generated")
                )
            )
        else:
            target.write_text(wanted)
            print(f"wrote {target.relative_to(PACKAGE.parent.parent)}")
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
