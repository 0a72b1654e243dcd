"""What type checkers must refuse of jobs: each marked line, and no other."""

from __future__ import annotations

from pgflow import PgFlow, job, sync


@job
def shrink(path: str) -> bytes:
    return path.encode()


@job(retries=3)  # refused: call-overload, untyped-decorator
def send(message: str) -> None: ...


@sync.job
def count(number: int) -> int:
    return number


shrink(5)  # refused: arg-type
name = shrink("x").name  # refused: attr-defined
PgFlow(jobs=[print])  # refused: list-item
count.enqueue(1, delay="5")  # refused: arg-type
count.enqueue_in(1)  # refused: call-arg


async def awaits() -> None:
    shrink.enqueue("x")  # refused: unused-coroutine
    await count.enqueue(1)  # refused: misc
