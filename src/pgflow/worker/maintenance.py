"""Deleting what is old, bit by bit. Any number of workers may do it; the database lets one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import astuple
from datetime import timedelta

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.types import PruneResult
from pgflow.worker.service import PeriodicService

logger = logging.getLogger("pgflow.worker")

_INTERVAL = 3600.0
_FIRST = 60.0
_BATCH = 500
_PAUSE = 0.2
"""Seconds between two batches, which leave the database some room."""


class Retention:
    """Deletes runs of some flows that ended longer ago than `keep`, a minute after the start and every hour."""

    def __init__(self, database: Database, flow_slugs: Sequence[str], keep: timedelta) -> None:
        if keep <= timedelta(0):
            raise ValueError(f"retention must be positive, not {keep}")
        self._database = database
        self._flow_slugs = list(flow_slugs)
        self._keep = keep

    def service(self) -> PeriodicService:
        """Return the service that does it."""
        return PeriodicService("retention", _INTERVAL, self.tick, first=_FIRST)

    async def tick(self) -> None:
        """Delete batch after batch until nothing is left that is old."""
        runs = 0
        while any(astuple(deleted := await self._delete_some())):
            runs += deleted.deleted_runs
            await asyncio.sleep(_PAUSE)
        if runs:
            logger.info("deleted %d runs that ended more than %s ago", runs, self._keep)

    async def _delete_some(self) -> PruneResult:
        return await self._database.run(calls.prune_data_older_than(self._keep, self._flow_slugs, _BATCH))
