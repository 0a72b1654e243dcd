"""What type checkers must accept of jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from pgflow import Context, Job, PgFlow, Run, job, sync


@job(max_attempts=5, timeout=120, executor="thread")
async def send_email(message: dict[str, str], ctx: Context) -> int:
    return len(message)


@job
def shrink(path: str, *, size: int = 100) -> bytes:
    return path.encode()[:size]


@sync.job
def count(number: int) -> int:
    return number


app = PgFlow(jobs=[send_email, shrink, count])
blocking = sync.PgFlow(flows=[shrink], jobs=[count])


async def jobs_are_called_like_functions(ctx: Context) -> None:
    assert_type(await send_email({}, ctx), int)
    assert_type(shrink("x", size=3), bytes)
    assert_type(count(1), int)


async def jobs_are_enqueued() -> None:
    assert_type(await send_email.enqueue({"to": "ada"}, delay=5), Run[Any])
    assert_type(await send_email.enqueue_in(timedelta(hours=1), {}, conn=object()), Run[Any])
    assert_type(await shrink.enqueue_at(datetime.now(UTC), "x"), Run[Any])
    assert_type(await shrink.enqueue_many(["x", "y"]), list[Run[Any]])
    assert_type(await app.enqueue(count, 1, key="k", tags=("x", "y")), Run[Any])
    assert_type(await app.start_flow(send_email, {}), Run[Any])
    assert_type(count.enqueue(1), sync.Run[Any])
    assert_type(blocking.enqueue_many("shrink", ["x"]), list[sync.Run[Any]])


def takes_any_job(any_job: Job[..., Any]) -> str:
    return any_job.slug


takes_any_job(send_email)
