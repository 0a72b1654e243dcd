"""The application object: a client that also runs workers."""

from __future__ import annotations

from collections.abc import Iterable

from pgflow._async.client import Client
from pgflow.flow import Flow
from pgflow.worker.worker import Worker


class PgFlow(Client):
    """Starts runs, looks at them, and works their tasks.

    ::

        app = PgFlow("postgresql://…", flows=[analyze_website])
        async with app:
            run = await app.start_flow(analyze_website, {"url": "https://example.com"})

    `url` is a libpq URL; None means PGFLOW_DATABASE_URL, or the embedded server. `flows` are those that
    :meth:`run_worker` works. The rest is as in a client.
    """

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

    def worker(self, *flows: Flow, concurrency: int = 10) -> Worker:
        """Return a worker, not started, of these flows (default: all of the application)."""
        return Worker(self, flows or self.flows, concurrency=concurrency)

    async def run_worker(self, *flows: Flow, concurrency: int = 10, timeout: float = 30) -> None:
        """Work these flows (default: all of the application) until SIGTERM or SIGINT.

        `concurrency` is the number of handlers at once. At the end handlers get `timeout` seconds to finish; a second
        signal ends them at once. Raises FlowShapeMismatch, a SchemaError or ConnectionLost when it can't start.
        """
        await self.worker(*flows, concurrency=concurrency).run(timeout=timeout)
