"""The flow behind `pgflow demo`: analyse documents, check their links, write a report.

Start reading at :mod:`pgflow.demo.flow`. This package module itself imports nothing, so that it works without the
`demo` extra.
"""

from __future__ import annotations

from importlib.util import find_spec

from pgflow.errors import PgFlowError

_EXTRA_MODULES = ("bs4", "httpx", "markdown_it")


def check_extra() -> None:
    """Raise PgFlowError with the command to run when the `demo` extra isn't installed."""
    missing = [module for module in _EXTRA_MODULES if find_spec(module) is None]
    if missing:
        raise PgFlowError(f'the demo needs {", ".join(missing)}; run `pip install "pgflow-py[demo]"`')
