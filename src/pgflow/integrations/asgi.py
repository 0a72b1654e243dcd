"""A worker inside a web application: for Starlette, FastAPI and whatever takes a lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Unpack

from pgflow.app import PgFlow
from pgflow.flow import Flow
from pgflow.worker.options import WorkerOptions


def lifespan(
    app: PgFlow, *flows: Flow | str, timeout: float = 30, **options: Unpack[WorkerOptions]
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, PgFlow]]]:
    """Return a lifespan that opens `app`, works its flows while the web server runs, and ends both with it.

    ::

        pgflow_app = PgFlow("postgresql://…", flows=[analyze_website])
        web = FastAPI(lifespan=lifespan(pgflow_app))

    Handlers of requests find the application as `request.state.pgflow`. `flows` and `options` are those of
    :meth:`pgflow.PgFlow.start_worker`; at the end handlers of tasks get `timeout` seconds. No signal is touched: the
    web server has its own. An application without flows only gets its connections opened and closed.
    """

    @asynccontextmanager
    async def manage(web: Any) -> AsyncIterator[dict[str, PgFlow]]:
        async with app:
            if flows or app.flows:
                await app.start_worker(*flows, **options)
            try:
                yield {"pgflow": app}
            finally:
                await app.stop_worker(timeout=timeout)

    return manage
