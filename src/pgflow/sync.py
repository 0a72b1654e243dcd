"""The blocking half: the same names as in `pgflow`, without `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from pgflow import app
from pgflow._sync.client import Client
from pgflow._sync.handle import Run
from pgflow.flow import Flow

__all__ = ["PgFlow", "Run"]


class PgFlow(Client):
    """The blocking twin of :class:`pgflow.PgFlow`; safe to share between threads."""

    def __init__(
        self,
        url: str | None = None,
        *,
        flows: Iterable[Flow] = (),
        pool_size: int = 2,
        listen: bool = True,
        listen_url: str | None = None,
    ) -> None:
        super().__init__(url, pool_size=pool_size, listen=listen, listen_url=listen_url)
        self.flows: tuple[Flow, ...] = tuple(flows)
        self._make_twin = partial(app.PgFlow, url, listen=listen, listen_url=listen_url)

    def run_worker(self, *flows: Flow, concurrency: int = 10, timeout: float = 30) -> None:
        """Work these flows (default: all of the application) until SIGTERM or SIGINT.

        `concurrency`, `timeout` and errors are those of :meth:`pgflow.PgFlow.run_worker`.
        """

        async def work() -> None:
            async with self._make_twin() as twin:
                await twin.run_worker(*(flows or self.flows), concurrency=concurrency, timeout=timeout)

        asyncio.run(work())
