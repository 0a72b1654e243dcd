"""The examples of docs/transactions.md and docs/jobs.md do what they say."""

from __future__ import annotations

import asyncio
import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from client.callers import sqlalchemy_url, use_django
from pgflow import PgFlow, sync

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = re.findall(
    r"^([\w ]+):\n\n```python\n(.*?)^```", (ROOT / "docs/transactions.md").read_text(), re.MULTILINE | re.DOTALL
)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def url(newest_database_url: str) -> str:
    """A database with a table of orders and the flow `process_order`."""
    with psycopg.connect(newest_database_url, autocommit=True) as connection:
        connection.execute("create table orders (number int primary key)")
        connection.execute("select pgflow.create_flow('process_order')")
        connection.execute("select pgflow.add_step('process_order', 'check')")
    return newest_database_url


def counts(url: str) -> tuple[int, int]:
    """Return the numbers of orders and of runs."""
    with psycopg.connect(url) as connection:
        return connection.execute("select (select count(*) from orders), (select count(*) from pgflow.runs)").fetchone()


async def perform(title: str, example: str, url: str) -> None:
    """Place an order twice: the second one is refused with its run."""
    make_engine = create_async_engine if "asyncio" in title else sqlalchemy.create_engine
    engine = make_engine(sqlalchemy_url(url, "asyncpg" if "asyncio" in title else "psycopg"))
    pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
    app = PgFlow(url) if "async def" in example else sync.PgFlow(url)
    names: dict[str, Any] = {"app": app, "engine": engine, "pool": pool, "url": url, "Order": Order}
    exec(example, names)
    place_order = names["place_order"]
    if not inspect.iscoroutinefunction(place_order):
        place_order = partial(asyncio.to_thread, in_thread, place_order, url if title == "Django" else None)
    await place_order(7)
    with pytest.raises(Exception, match="orders_pkey"):
        await place_order(7)
    await pool.close()
    disposed = engine.dispose()
    if inspect.isawaitable(disposed):
        await disposed


def in_thread(place_order: Any, django_url: str | None, number: int) -> None:
    connection = use_django(django_url) if django_url else None
    try:
        place_order(number)
    finally:
        if connection is not None:
            connection.close()


@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
async def test_an_order_and_its_run_exist_together(title: str, example: str, url: str) -> None:
    await perform(title, example, url)
    assert counts(url) == (1, 1)


def test_there_are_examples_of_all_libraries() -> None:
    assert [title for title, _ in EXAMPLES] == [
        "psycopg",
        "asyncpg",
        "SQLAlchemy",
        "SQLAlchemy with asyncio",
        "Django",
    ]


async def test_the_examples_of_jobs_run(newest_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", newest_database_url)
    declaration, welcome, remind, blocking = blocks("docs/jobs.md", "python")
    names: dict[str, Any] = {"__name__": "example"}
    for block in (declaration, welcome, remind):
        exec(block, names)
    async with names["app"] as app:
        await app.ensure_compiled(names["send_email"])
        await names["welcome"]("ada@example.com")
        await names["remind"](app, "ada@example.com")
        await app.start_worker()
        assert await app.count_runs(flow="send_email") == 7
    await asyncio.to_thread(run_blocking, blocking, {"__name__": "example"})
    with psycopg.connect(newest_database_url) as connection:
        for statement in blocks("docs/jobs.md", "sql"):
            assert connection.execute(statement).fetchone()
        delays = connection.execute(
            "select round(extract(epoch from vt - clock_timestamp()) / 10)::int from pgmq.q_send_email order by vt"
        ).fetchall()
    assert [seconds for (seconds,) in delays][:6] == pytest.approx([6, 6, 30, 60, 60, 360], abs=1)


def run_blocking(block: str, names: dict[str, Any]) -> None:
    exec(block, names)
    with names["app"] as app:
        app.ensure_compiled(names["resize_image"])
        names["upload"]("x.png")
        assert app.flow_exists("resize_image")
