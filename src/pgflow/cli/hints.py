"""What to say while a run is waited for and nothing happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pgflow import sync
from pgflow.cli.output import command_name, errors
from pgflow.cli.tables import print_line
from pgflow.errors import PgFlowError

HINT_SECONDS = 3.0
"""How long to wait for a run before asking whether anybody works it."""

_FAREWELL_SECONDS = 1.0


@contextmanager
def hint_without_worker(client: sync.PgFlow, flow_slug: str) -> Iterator[None]:
    """Say once, on standard error, if what is done here takes some seconds and no worker of the flow is running.

    It says nothing where the database doesn't answer, or the role may not ask who works.
    """
    is_over = threading.Event()

    def ask() -> None:
        if not is_over.wait(HINT_SECONDS):
            with suppress(PgFlowError):
                workers = client.list_workers(flow=flow_slug)
                if not is_over.is_set() and all(worker.status != "alive" for worker in workers):
                    hint = f"no worker of flow {flow_slug} is running; start one with `{command_name()} worker APP`"
                    print_line(errors, hint)

    asking = threading.Thread(target=ask, name="pgflow-hint", daemon=True)
    asking.start()
    try:
        yield
    finally:
        is_over.set()
        asking.join(_FAREWELL_SECONDS)
