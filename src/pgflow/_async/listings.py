"""The half of the client that looks at many runs, and into one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pgflow import arguments, calls
from pgflow._async.connection import Database
from pgflow._async.handle import Run
from pgflow.calls import RunFilters
from pgflow.errors import InvalidInput, StepNotFound
from pgflow.flow import Flow
from pgflow.serialize import encode
from pgflow.types import Json, RunStatus, StepTask, WorkerRow

_PAGE = 200


class RunPage(list[Run[Any]]):
    """A list of runs, newest first, that knows where the next page begins."""

    def __init__(self, runs: Iterable[Run[Any]], next_cursor: str | None) -> None:
        super().__init__(runs)
        self.next_cursor = next_cursor
        """To be passed as `after`; None on the last page."""


class Listings:
    """Calls that look at runs."""

    database: Database

    async def list_runs(
        self,
        *,
        flow: Flow[Any, Any] | str | Iterable[Flow | str] | None = None,
        status: str | Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        input_contains: Json = None,
        tags: str | Iterable[str] = (),
        limit: int = 50,
        after: str | None = None,
    ) -> RunPage:
        """Return a page of runs, newest first.

        `flow` and `status` are one or more; `since` is the earliest start, `until` the first one too late;
        `input_contains` is JSON that the input must contain, such as `{"customer": 7}`; a run must have all of `tags`;
        `after` is the `next_cursor` of another page. Raises InvalidInput.
        """
        filters = _filters(flow, status, since, until, input_contains, tags)
        size = arguments.size_of_page(limit)
        rows = await self.database.run(calls.list_runs(filters, size + 1, arguments.cursor(after)))
        shown = rows[:size]
        is_last = len(rows) <= size
        next_cursor = None if is_last else arguments.cursor_of(shown[-1].started_at, shown[-1].run_id)
        return RunPage([Run(self.database, row) for row in shown], next_cursor)

    async def all_runs(
        self,
        *,
        flow: Flow[Any, Any] | str | Iterable[Flow | str] | None = None,
        status: str | Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        input_contains: Json = None,
        tags: str | Iterable[str] = (),
    ) -> AsyncIterator[Run[Any]]:
        """Yield all runs, newest first, page by page. Filters and errors are those of :meth:`list_runs`."""
        filters = _filters(flow, status, since, until, input_contains, tags)
        place: tuple[datetime, UUID] | None = None
        while rows := await self.database.run(calls.list_runs(filters, _PAGE, place)):
            for row in rows:
                yield Run(self.database, row)
            place = rows[-1].started_at, rows[-1].run_id

    async def count_runs(
        self,
        *,
        flow: Flow[Any, Any] | str | Iterable[Flow | str] | None = None,
        status: str | Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        input_contains: Json = None,
        tags: str | Iterable[str] = (),
    ) -> int:
        """Return how many runs there are. Filters and errors are those of :meth:`list_runs`."""
        return await self.database.run(calls.count_runs(_filters(flow, status, since, until, input_contains, tags)))

    async def list_tasks(self, run_id: UUID | str, step_slug: str | None = None) -> list[StepTask]:
        """Return the tasks of a run, or of one of its steps, in their order.

        Raises RunNotFound, and StepNotFound for a step that the run doesn't have.
        """
        found = arguments.run_id(run_id)
        slug = None if step_slug is None else _step_slug(step_slug)
        tasks = await self.database.run(calls.list_tasks(found, slug))
        if not tasks:
            await self._check_step(found, slug)
        return tasks

    async def list_workers(
        self,
        *,
        flow: Flow[Any, Any] | str | Iterable[Flow | str] | None = None,
        with_stopped: bool = False,
        limit: int = 50,
    ) -> list[WorkerRow]:
        """Return workers of all or some flows, last heard of first, those that have stopped last or not at all.

        Raises InvalidInput.
        """
        slugs, size = arguments.flow_slugs(flow), arguments.size_of_page(limit)
        return await self.database.run(calls.list_workers(slugs, with_stopped=with_stopped, limit=size))

    async def get_flow_input(self, run_id: UUID | str) -> Json:
        """Return what a run was started with. Raises RunNotFound."""
        return await self.database.run(calls.get_flow_input(arguments.run_id(run_id)))

    async def get_step_output(self, run_id: UUID | str, step_slug: str, default: Json = None) -> Json:
        """Return the output of a completed step, or `default` as long as it has none.

        Raises RunNotFound, and StepNotFound for a step that the run doesn't have.
        """
        found, slug = arguments.run_id(run_id), _step_slug(step_slug)
        output = await self.database.run(calls.get_step_output(found, slug))
        if output is None:
            await self._check_step(found, slug)
            return default
        return output[0]

    async def _check_step(self, run_id: UUID, step_slug: str | None) -> None:
        _, steps = await self.database.run(calls.get_run_with_states(run_id))
        known = [step.step_slug for step in steps]
        if step_slug is not None and step_slug not in known:
            raise StepNotFound(step_slug, known)


def _filters(
    flow: Flow[Any, Any] | str | Iterable[Flow | str] | None,
    status: str | Iterable[str] | None,
    since: datetime | None,
    until: datetime | None,
    input_contains: Json,
    tags: str | Iterable[str],
) -> RunFilters:
    return RunFilters(
        arguments.flow_slugs(flow),
        _statuses(status),
        arguments.instant(since, "since"),
        arguments.instant(until, "until"),
        None if input_contains is None else encode(input_contains, what="input_contains"),
        arguments.tags(tags),
    )


def _statuses(status: str | Iterable[str] | None) -> list[str] | None:
    if status is None:
        return None
    statuses = [status] if isinstance(status, str) else list(status)
    known = [str(each) for each in RunStatus]
    for each in statuses:
        if each not in known:
            raise InvalidInput(f"no run has status {each!r}; statuses: {', '.join(known)}")
    return [str(each) for each in statuses]


def _step_slug(step_slug: str) -> str:
    return arguments.text(step_slug, "a step slug")
