"""Starts that can be repeated, at a time, with tags, and the runs that are found by them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from client.callers import CALLERS, Caller
from client.flows import each, greeting
from client.workbench import Workbench
from pgflow import Flow, InvalidInput, PgFlow, RunNotFound, telemetry
from pgflow.calls import Call

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def visible_in(connection: psycopg.Connection[Any]) -> list[float]:
    """Return in how many seconds each message becomes visible."""
    query = "select extract(epoch from vt - clock_timestamp())::float8 from pgmq.q_greeting order by msg_id"
    return [seconds for (seconds,) in connection.execute(query)]


def count(connection: psycopg.Connection[Any]) -> int:
    return connection.execute("select count(*) from pgflow.runs").fetchone()[0]


# Keys


@pytest.mark.feature("A1.4")
async def test_a_start_with_a_key_can_be_repeated(greeter: Any, shared_connection: Any) -> None:
    run = await greeter.start_flow(greeting, 1, key="order 7")
    again = await greeter.start_flow("greeting", 2, key="order 7", tags=["late"], delay=60)
    assert (again.run_id, again.input, run.existed, again.existed) == (run.run_id, 1, False, True)
    assert (await again.read_tags(), count(shared_connection)) == ((), 1)
    assert (await greeter.get_run_by_key(greeting, "order 7")).run_id == run.run_id


async def test_a_run_that_has_ended_comes_back_with_its_output(greeter: Any, workbench: Workbench) -> None:
    await greeter.start_flow(greeting, "Ada", key="k")
    workbench.echo()
    run = await greeter.start_flow(greeting, "Grace", key="k")
    assert (run.existed, await run.result(timeout=5)) == (True, {"greet": "Ada"})


async def test_a_run_without_a_key_is_always_another(greeter: Any) -> None:
    runs = [await greeter.start_flow(greeting, 1, tags=["x"]) for _ in range(2)]
    assert runs[0].run_id != runs[1].run_id
    assert [run.existed for run in runs] == [False, False]


async def test_many_are_started_with_a_key_each(greeter: Any, shared_connection: Any) -> None:
    old = await greeter.start_flow(greeting, 0, key="b")
    keys = ["a", None, "b", "a", None]
    runs = await greeter.start_flows(greeting, range(5), keys=(key for key in keys))
    assert [run.existed for run in runs] == [False, False, True, True, False]
    assert (runs[2].run_id, runs[3].run_id) == (old.run_id, runs[0].run_id)
    assert count(shared_connection) == 4


async def test_two_that_start_with_one_key_at_once_get_one_run(greeter: Any, shared_connection: Any) -> None:
    runs = await asyncio.gather(*(greeter.start_flow(greeting, number, key="k") for number in range(20)))
    assert len({run.run_id for run in runs}) == 1
    assert sum(not run.existed for run in runs) == 1
    assert count(shared_connection) == 1


async def test_a_key_and_an_id_may_go_together(greeter: Any) -> None:
    run_id = uuid4()
    runs = [await greeter.start_flow(greeting, 1, key="k", run_id=run_id) for _ in range(2)]
    assert [(run.run_id, run.existed) for run in runs] == [(run_id, False), (run_id, True)]
    for key in ("other", None):
        with pytest.raises(InvalidInput, match=f"run id {run_id} is already in use; pass another one"):
            await greeter.start_flow(greeting, 1, key=key, run_id=run_id)


async def test_a_key_that_no_run_has_finds_none(greeter: Any) -> None:
    with pytest.raises(RunNotFound, match="flow 'greeting' has no run with key 'k'") as raised:
        await greeter.get_run_by_key(greeting, "k")
    assert raised.value.run_id == "k"


async def test_the_key_of_a_pruned_run_is_free_again(greeter: Any, workbench: Workbench) -> None:
    first = await greeter.start_flow(greeting, 1, key="k")
    workbench.echo()
    await greeter.prune(0)
    second = await greeter.start_flow(greeting, 1, key="k")
    assert (second.existed, second.run_id == first.run_id) == (False, False)


@pytest.mark.parametrize("key", ["x" * 255, "ü\n\t'\" %s $1", "\U0001f600", " "])
async def test_any_text_is_a_key(greeter: Any, key: str) -> None:
    run = await greeter.start_flow(greeting, 1, key=key)
    assert (await greeter.get_run_by_key(greeting, key)).run_id == run.run_id


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "a key has 1 to 255 characters, not 0"),
        ("x" * 256, "a key has 1 to 255 characters, not 256"),
        ("a\0b", "a key can't contain NUL"),
        ("\ud800", "a key can't contain lone surrogates"),
        (7, "a key is a text, not int"),
        (b"k", "a key is a text, not bytes"),
        (["k"], "a key is a text, not list"),
    ],
)
async def test_what_is_no_key_is_refused(greeter: Any, shared_connection: Any, key: Any, problem: str) -> None:
    for call in (greeter.start_flow(greeting, 1, key=key), greeter.get_run_by_key(greeting, key)):
        with pytest.raises(InvalidInput, match=problem):
            await call
    with pytest.raises(InvalidInput, match=problem):
        await greeter.start_flows(greeting, [1, 2], keys=[None, key])
    assert count(shared_connection) == 0


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("ab", "keys is a list with a key for each input, not 'ab'"),
        (5, "keys is a list"),
        (["a"], "1 keys for 2 inputs; give one for each, None where there is none"),
        ([], "0 keys for 2 inputs"),
        (["a", "b", "c"], "3 keys for 2 inputs"),
    ],
)
async def test_there_is_a_key_for_each_input(greeter: Any, keys: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await greeter.start_flows(greeting, [1, 2], keys=keys)


async def test_a_run_that_exists_is_not_told_as_a_start(greeter: Any) -> None:
    told: list[Any] = []
    telemetry.attach("test of keys", ["run.started"], lambda *event: told.append(event))
    for _ in range(2):
        await greeter.start_flow(greeting, 1, key="k")
    await greeter.start_flows(greeting, [1, 2], keys=["k", "l"])
    telemetry.detach("test of keys")
    assert len(told) == 2


async def test_an_output_is_of_the_type_that_the_flow_names(client: Any, workbench: Workbench) -> None:
    typed = Flow("greeting", output=dict[str, int])
    await client.ensure_compiled(greeting)
    await client.start_flow("greeting", 7, key="k")
    workbench.echo()
    run = await client.start_flow(typed, 7, key="k")
    assert await run.result(timeout=5) == {"greet": 7}


# A time


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"delay": 60}, 60),
        ({"delay": timedelta(minutes=1)}, 60),
        ({"delay": 59.01}, 60),
        ({"delay": 0}, 0),
        ({"delay": 2**31 - 1}, 2**31 - 1),
        ({"at": datetime(1970, 1, 1, tzinfo=UTC)}, 0),
        ({"at": datetime.min.replace(tzinfo=UTC)}, 0),
        ({"at": datetime(9999, 1, 1, tzinfo=UTC)}, 2**31 - 1),
    ],
)
@pytest.mark.parametrize("labels", [{}, {"key": "k"}, {"tags": ["x"]}])
@pytest.mark.feature("A1.4", "A2.5")
async def test_first_tasks_wait_for_the_time(
    greeter: Any, shared_connection: Any, labels: Any, options: Any, seconds: int
) -> None:
    run = await greeter.start_flow(greeting, 1, **labels, **options)
    assert run.status == "started"
    assert [max(left, 0) for left in visible_in(shared_connection)] == pytest.approx([seconds], abs=3)


@pytest.mark.parametrize("labels", [{}, {"keys": ["k", None]}])
async def test_many_wait_for_a_time_together(greeter: Any, shared_connection: Any, labels: Any) -> None:
    at = shared_connection.execute("select clock_timestamp() + interval '1 hour'").fetchone()[0]
    await greeter.start_flows(greeting, [1, 2], at=at, **labels)
    assert visible_in(shared_connection) == pytest.approx([3600] * 2, abs=3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delay": 0, "at": NOW}, "delay and at exclude each other: give one of them"),
        ({"at": datetime(2026, 1, 1)}, "at needs a time zone"),
        ({"at": "2026-01-01"}, "at is a datetime"),
        ({"at": float("nan")}, "at is a datetime"),
        ({"delay": -1}, "a delay must be from 0"),
        ({"delay": float("nan")}, "a delay must be from 0"),
        ({"delay": float("inf")}, "a delay must be from 0"),
        ({"delay": "5"}, "a delay is a number"),
    ],
)
@pytest.mark.parametrize("labels", [{}, {"tags": "x"}])
async def test_a_time_that_makes_no_sense_is_refused(
    greeter: Any, shared_connection: Any, labels: Any, options: Any, problem: str
) -> None:
    for call in (greeter.start_flow(greeting, 1, **options, **labels), greeter.start_flows(greeting, [], **options)):
        with pytest.raises(InvalidInput, match=problem):
            await call
    assert count(shared_connection) == 0


# Tags


@pytest.mark.feature("B6.1")
async def test_runs_are_listed_and_counted_by_their_tags(greeter: Any) -> None:
    await greeter.ensure_compiled(each)
    runs = [
        await greeter.start_flow(greeting, 1, tags=["nightly", "import"]),
        await greeter.start_flow(each, [1], tags="nightly"),
        await greeter.start_flow(greeting, 2),
    ]
    for filters, expected in [
        ({"tags": ["nightly"]}, [1, 0]),
        ({"tags": "nightly"}, [1, 0]),
        ({"tags": ("import", "nightly")}, [0]),
        ({"tags": ["nightly"], "flow": each}, [1]),
        ({"tags": ["nightly"], "status": "failed"}, []),
        ({"tags": ["unknown"]}, []),
        ({"tags": []}, [2, 1, 0]),
    ]:
        wanted = [runs[number].run_id for number in expected]
        assert [run.run_id for run in await greeter.list_runs(**filters)] == wanted
        assert [run.run_id async for run in greeter.all_runs(**filters)] == wanted
        assert await greeter.count_runs(**filters) == len(wanted)


async def test_pages_of_a_tag_join_without_gap_or_overlap(greeter: Any) -> None:
    runs = await greeter.start_flows(greeting, range(7), tags=["x"])
    await greeter.start_flows(greeting, range(7))
    found, cursor = [], None
    while True:
        page = await greeter.list_runs(tags=["x"], limit=3, after=cursor)
        found += page
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(run.run_id for run in found) == sorted(run.run_id for run in runs)


async def test_the_tags_of_a_run_are_read(greeter: Any) -> None:
    tags = ["x", "ü \U0001f600", "x", "y" * 100, "100 %"]
    run = await greeter.start_flow(greeting, 1, tags=iter(tags))
    assert sorted(await run.read_tags()) == sorted(set(tags))
    assert await (await greeter.get_run(run.run_id)).read_tags() == await run.read_tags()


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ([""], "a tag has 1 to 100 characters, not 0"),
        ("", "a tag has 1 to 100 characters, not 0"),
        (["x" * 101], "a tag has 1 to 100 characters, not 101"),
        (["a\0"], "a tag can't contain NUL"),
        (["\ud800"], "a tag can't contain lone surrogates"),
        ([None], "a tag is a text, not NoneType"),
        ([1], "a tag is a text, not int"),
        (5, "tags is a list of texts, not 5"),
        (None, "tags is a list of texts, not None"),
        (b"x", "tags is a list of texts, not b'x'"),
        ([str(number) for number in range(21)], "a run has at most 20 tags, not 21"),
    ],
)
async def test_what_is_no_tag_is_refused(greeter: Any, shared_connection: Any, tags: Any, problem: str) -> None:
    for call, arguments in ((greeter.start_flow, (greeting, 1)), (greeter.list_runs, ()), (greeter.count_runs, ())):
        with pytest.raises(InvalidInput, match=problem):
            await call(*arguments, tags=tags)
    assert count(shared_connection) == 0


# On connections of callers, and at the price of a plain start


@pytest.mark.parametrize("kind", CALLERS, ids=lambda kind: kind.__name__)
async def test_keys_and_tags_are_part_of_the_callers_transaction(
    kind: type[Caller], shared_url: str, shared_connection: Any
) -> None:
    async with PgFlow(shared_url) as owner:
        await owner.ensure_compiled(greeting)
    await asyncio.to_thread(start_on, kind, shared_url, shared_connection)


def start_on(kind: type[Caller], url: str, observer: Any) -> None:
    caller = kind(url)
    first = caller.start(greeting, 1, key="k", tags=["x"], delay=60)
    assert caller.start(greeting, 2, key="k").run_id == first.run_id
    caller.do(caller.rollback)
    assert (first.existed, count(observer)) == (False, 0)
    at = datetime.now(UTC) + timedelta(hours=1)
    runs = caller.start_many(greeting, [1, 2, 3], keys=["k", None, "k"], tags=["x", "y"], at=at)
    caller.do(caller.commit)
    assert [run.existed for run in runs] == [False, False, True]
    assert visible_in(observer) == pytest.approx([3600] * 2, abs=10)
    assert observer.execute("select count(*) from pgflow.run_tags").fetchone() == (4,)
    caller.leave()


async def test_a_plain_start_is_the_plain_call(greeter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    database = getattr(greeter, "subject", greeter).database
    run = database.run

    def recorded(call: Call[Any], *arguments: Any) -> Any:
        called.append(call.sql)
        return run(call, *arguments)

    monkeypatch.setattr(database, "run", recorded)
    await greeter.start_flow(greeting, 1)
    await greeter.start_flows(greeting, [1, 2], keys=[None, None], tags=[])
    await greeter.start_flow(greeting, 1, key="k")
    assert ["start_runs" in sql for sql in called] == [False, False, True]
