"""The health of an application and its metrics over HTTP, for probes and for Prometheus.

::

    async with PgFlow(flows=flows) as app, health.pages(app, port=9000):
        await app.run_worker()

`/health` answers what :meth:`pgflow.PgFlow.health_check` says as JSON, with status 503 when that is `down`, else 200.
`/metrics` needs `pip install "pgflow-py[prometheus]"` and :func:`pgflow.integrations.prometheus.instrument`.
"""

from __future__ import annotations

from http import HTTPStatus

from pgflow.app import PgFlow
from pgflow.integrations.http import Page, Pages
from pgflow.serialize import encode
from pgflow.worker.health import HealthStatus


def pages(app: PgFlow, *, host: str = "127.0.0.1", port: int = 0) -> Pages:
    """Return the pages of an application, which are there inside `async with`; `port` 0 takes any free one."""

    async def health() -> Page:
        found = await app.health_check()
        is_down = found.status is HealthStatus.DOWN
        return Page(encode(found), status=HTTPStatus.SERVICE_UNAVAILABLE if is_down else HTTPStatus.OK)

    return Pages({"/health": health, "/metrics": _metrics}, host=host, port=port)


async def _metrics() -> Page:
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    except ImportError:
        return Page(b'pip install "pgflow-py[prometheus]"\n', "text/plain; charset=utf-8", HTTPStatus.NOT_FOUND)
    return Page(generate_latest(), CONTENT_TYPE_LATEST)
