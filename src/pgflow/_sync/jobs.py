"""The half of the client that concerns jobs, and jobs that know their application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, Unpack, overload
from uuid import UUID

from pgflow import arguments
from pgflow._sync.connection import Database
from pgflow._sync.handle import Run
from pgflow._sync.starting import StartOptions, start_runs
from pgflow.errors import DefinitionError, InvalidInput
from pgflow.flow import Flow
from pgflow.jobs import JobDefinition, JobOptions, P, R
from pgflow.serialize import encode
from pgflow.types import Json


class Enqueuing:
    """Calls that put jobs into their queues. A job is given as Job, or as the slug of one that is registered."""

    database: Database

    def enqueue(
        self,
        job: JobDefinition[..., Any] | str,
        input: Json,  # noqa: A002 - the public name
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of a job: at once, after a `delay` (seconds or timedelta), or `at` a time, which has a time zone.

        The run exists at once in any case. A time that has passed means now; what counts is the database's clock, and
        seconds are rounded up. `run_id`, `key`, `tags`, `conn` and what is raised are those of :meth:`start_flow`;
        InvalidInput as well for a delay and a time together, and a time without a time zone.
        """
        options = StartOptions(run_id, delay, at, None if key is None else [key], tags, conn)
        [run] = self._enqueue(job, [input], options)
        return run

    def enqueue_in(
        self,
        job: JobDefinition[..., Any] | str,
        delay: float | timedelta,
        input: Json,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of a job after a delay, as :meth:`enqueue` does."""
        after = _given(delay, "delay")
        return self.enqueue(job, input, delay=after, run_id=run_id, key=key, tags=tags, conn=conn)

    def enqueue_at(
        self,
        job: JobDefinition[..., Any] | str,
        at: datetime,
        input: Json,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of a job at a time, as :meth:`enqueue` does."""
        return self.enqueue(job, input, at=_given(at, "at"), run_id=run_id, key=key, tags=tags, conn=conn)

    def enqueue_many(
        self,
        job: JobDefinition[..., Any] | str,
        inputs: Iterable[Json],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        keys: Iterable[str | None] | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> list[Run[Any]]:
        """Start one run per input in one round trip, all or none, and return them in the order of the inputs.

        `keys` has a key, or None, for each input. The rest is as in :meth:`enqueue`.
        """
        return self._enqueue(job, inputs, StartOptions(None, delay, at, keys, tags, conn))

    def _enqueue(
        self, job: JobDefinition[..., Any] | str, inputs: Iterable[Json], options: StartOptions
    ) -> list[Run[Any]]:
        slug = _job_slug(job)
        return start_runs(self.database, job, slug, [encode(value, what="input") for value in inputs], options)


class Job(JobDefinition[P, R], Generic[P, R]):
    """A job that can be enqueued by itself; made by :func:`job`."""

    _client: Enqueuing | None = None

    def bind(self, client: Enqueuing) -> None:
        """Say into which database the job is enqueued; `PgFlow(jobs=[…])` does. The last one counts."""
        self._client = client

    def enqueue(
        self,
        input: Json,  # noqa: A002 - the public name
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of the job: at once, after a `delay`, or `at` a time; see :meth:`PgFlow.enqueue`.

        Raises DefinitionError for a job that no application has.
        """
        client = self._bound()
        return client.enqueue(self, input, delay=delay, at=at, run_id=run_id, key=key, tags=tags, conn=conn)

    def enqueue_in(
        self,
        delay: float | timedelta,
        input: Json,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of the job after a delay, as :meth:`enqueue` does."""
        return self._bound().enqueue_in(self, delay, input, run_id=run_id, key=key, tags=tags, conn=conn)

    def enqueue_at(
        self,
        at: datetime,
        input: Json,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of the job at a time, as :meth:`enqueue` does."""
        return self._bound().enqueue_at(self, at, input, run_id=run_id, key=key, tags=tags, conn=conn)

    def enqueue_many(
        self,
        inputs: Iterable[Json],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        keys: Iterable[str | None] | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> list[Run[Any]]:
        """Start one run per input in one round trip, all or none; the rest is as in :meth:`enqueue`."""
        return self._bound().enqueue_many(self, inputs, delay=delay, at=at, keys=keys, tags=tags, conn=conn)

    def _bound(self) -> Enqueuing:
        if self._client is None:
            raise DefinitionError(
                f"job {self.slug!r} doesn't know its database: pass it as PgFlow(jobs=[…]), or call enqueue of a PgFlow"
            )
        return self._client


@overload
def job(function: Callable[P, R], /, **options: Unpack[JobOptions]) -> Job[P, R]: ...


@overload
def job(**options: Unpack[JobOptions]) -> Callable[[Callable[P, R]], Job[P, R]]: ...


def job(function: Callable[..., Any] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Make a function a job; use it as a decorator, with or without options (:class:`pgflow.jobs.JobOptions`).

    The function's one parameter beside `ctx` is the input. Raises :class:`DefinitionError`, listing every problem. ::

        @job(max_attempts=5, timeout=120)
        def send_email(message: Message) -> None: ...

        app = PgFlow(jobs=[send_email])
        send_email.enqueue({"to": "ada@example.com"})
    """
    if function is None:
        return lambda decorated: Job(decorated, **options)
    return Job(function, **options)


def with_jobs(client: Enqueuing, flows: Iterable[Flow], jobs: Iterable[object]) -> tuple[Flow, ...]:
    """Return the flows with the jobs, which are enqueued by this client from now on.

    Raises DefinitionError for a job that is none.
    """
    together = list(flows)
    for each in jobs:
        if not isinstance(each, JobDefinition):
            raise DefinitionError(f"{each!r} is no job; decorate a function with @job")
        together.append(each)
    for flow in together:
        if isinstance(flow, Job):
            flow.bind(client)
    return tuple(together)


def _given(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidInput(f"{name} is missing; enqueue() starts at once")
    return value


def _job_slug(job: JobDefinition[..., Any] | str) -> str:
    if isinstance(job, Flow) and not isinstance(job, JobDefinition):
        raise InvalidInput(f"{job!r} is no job: start_flow() starts flows")
    return arguments.flow_slug(job)
