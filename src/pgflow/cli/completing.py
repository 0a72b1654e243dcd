"""What the shell completes besides commands and options: slugs of flows, where asking for them is cheap."""

from __future__ import annotations

import logging

from psycopg.conninfo import make_conninfo

from pgflow import embedded, sync
from pgflow.database_url import given_url

_CONNECT_SECONDS = 2


def complete_flow(incomplete: str) -> list[str]:
    """Return slugs that begin so, from the database of the environment or the embedded server, if that runs.

    Nothing is started for it, and whatever goes wrong is nobody's concern who has just pressed a key.
    """
    logging.disable(logging.CRITICAL)
    try:
        url = given_url() or _running()
        if url is None:
            return []
        with sync.PgFlow(make_conninfo(url, connect_timeout=_CONNECT_SECONDS), listen=False) as client:
            return [flow.slug for flow in client.list_flows() if flow.slug.startswith(incomplete)]
    except Exception:
        return []
    finally:
        logging.disable(logging.NOTSET)


def _running() -> str | None:
    server = embedded.find()
    return server.url if server else None
