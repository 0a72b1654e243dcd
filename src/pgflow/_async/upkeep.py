"""The part of the client that cleans up and says which versions meet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pgflow import arguments, calls
from pgflow._async.connection import Database
from pgflow.flow import Flow
from pgflow.types import PruneResult

_NOTHING = PruneResult(0, 0, 0, 0, 0)


class Upkeep:
    """Calls that clean up."""

    database: Database

    async def prune(
        self,
        older_than: timedelta | float,
        flows: Flow | str | Iterable[Flow | str] | None = None,
        *,
        batch_size: int = 1000,
        dry_run: bool = False,
    ) -> PruneResult:
        """Delete runs that ended longer ago, with all that belongs to them, and give the numbers of what was deleted.

        `older_than` is a timedelta or seconds; `flows` are one or more, by default all. Archived messages and workers
        of that age go too; runs that go on stay at any age. Done in transactions of `batch_size` runs. With `dry_run`
        nothing is deleted, and the numbers are those of what would be. Raises InvalidInput.
        """
        age, slugs = arguments.retention(older_than), arguments.flow_slugs(flows)
        size = arguments.size_of_page(batch_size)
        if dry_run:
            return await self.database.run(calls.count_data_older_than(age, slugs))
        deleted = _NOTHING
        while (batch := await self.database.run(calls.prune_data_older_than(age, slugs, size))) != _NOTHING:
            deleted += batch
        return deleted

    async def recover_stalled(self, buffer: float | timedelta = 30) -> int:
        """Put tasks back whose worker hasn't reported within their timeout and `buffer` seconds; give their number.

        Workers do this by themselves. Raises InvalidInput for a buffer that is negative.
        """
        return await self.database.run(calls.recover_stalled_tasks(arguments.delay_seconds(buffer)))
