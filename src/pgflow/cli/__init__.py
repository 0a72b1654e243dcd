"""The command `pgflow`.

Exit codes: 0 done, 1 the run failed, 2 usage, 3 the database can't be reached or isn't ready.
"""

from __future__ import annotations

from pgflow.cli.main import main

__all__ = ["main"]
