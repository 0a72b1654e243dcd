"""Waiting by notifications: what they tell, what it costs, and how a listener survives what happens to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest

from client.flows import each, greeting
from client.listening import (
    DEADLINE_SECONDS,
    Wire,
    count_calls,
    eventually,
    listening,
    registered,
    sessions,
    subscribed,
    terminate,
    trust_notifications,
)
from client.workbench import Workbench
from pgflow import ConnectionLost, PgFlow, RunNotFound, sync
from pgflow.listening import listener, session, watcher


@pytest.fixture
async def app(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client with the flows of the tests that sees what is notified and nothing else."""
    trust_notifications(monkeypatch)
    async with PgFlow(shared_url) as app:
        await app.ensure_compiled(greeting)
        await app.ensure_compiled(each)
        yield app


async def waiting(app: PgFlow, flow: Any = greeting) -> tuple[Any, asyncio.Task[Any]]:
    """Start a run and wait for it, by notifications alone."""
    run = await app.start_flow(flow, 1)
    task = asyncio.create_task(run.wait())
    await listening(app)
    return run, task


async def in_time(task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await task


# What is told


async def test_the_end_of_a_run_is_told(app: PgFlow, workbench: Workbench) -> None:
    _, task = await waiting(app)
    workbench.complete(1)
    workbench.complete(2)
    assert (await in_time(task)).output == {"greet": 2}


async def test_a_failed_run_is_told(app: PgFlow, workbench: Workbench) -> None:
    _, task = await waiting(app)
    workbench.fail("no paper")
    assert (await in_time(task)).status == "failed"


async def test_a_deleted_run_is_told(app: PgFlow, workbench: Workbench) -> None:
    _, task = await waiting(app)
    workbench.connection.execute("select pgflow.delete_flow_and_data('greeting')")
    with pytest.raises(RunNotFound):
        await in_time(task)


async def test_a_run_that_ended_before_somebody_waits_is_seen(app: PgFlow, workbench: Workbench) -> None:
    _, task = await waiting(app)
    run = await app.start_flow(greeting, 2)
    workbench.echo()
    assert (await run.wait(DEADLINE_SECONDS)).output == {"greet": 2}
    await in_time(task)


async def test_what_ends_while_somebody_looks_is_seen(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = await waiting(app)
    answered, go_on, look = asyncio.Event(), asyncio.Event(), app.database.run

    async def slow(call: Any) -> Any:
        answer = await look(call)
        answered.set()
        await go_on.wait()
        return answer

    monkeypatch.setattr(app.database, "run", slow)
    workbench.complete(1)
    await answered.wait()  # with "started"
    workbench.complete(2)
    await asyncio.to_thread(workbench.connection.execute, "select 1")
    go_on.set()
    assert (await in_time(task)).status == "completed"


async def test_both_who_wait_for_a_run_see_its_end(app: PgFlow, workbench: Workbench) -> None:
    run, task = await waiting(app)
    other = asyncio.create_task((await app.get_run(run.run_id)).wait())
    workbench.echo()
    assert [(await in_time(waited)).status for waited in (task, other)] == ["completed"] * 2


async def test_one_who_gives_up_leaves_the_others_waiting(app: PgFlow, workbench: Workbench) -> None:
    run, task = await waiting(app)
    other = asyncio.create_task((await app.get_run(run.run_id)).wait())
    await asyncio.sleep(0)
    other.cancel()
    workbench.echo()
    assert (await in_time(task)).status == "completed"


@pytest.mark.parametrize("payload", ["nonsense", ",", "ü", "00000000-0000-0000-0000-000000000000"])
async def test_what_others_send_does_no_harm(app: PgFlow, workbench: Workbench, payload: str) -> None:
    _, task = await waiting(app)
    workbench.connection.execute("select pg_notify('pgflow_runs', %s)", (payload,))
    workbench.echo()
    assert (await in_time(task)).status == "completed"


async def test_a_timeout_that_is_no_number_is_refused(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(ValueError, match="timeout must be a number"):
        await run.wait(float("nan"))


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
async def test_a_timeout_may_be_very_long(greeter: Any, workbench: Workbench, timeout: float) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.echo()
    assert (await run.wait(timeout)).status == "completed"


# What it costs


async def test_a_thousand_waits_use_one_connection_and_few_statements(
    app: PgFlow, workbench: Workbench, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = await app.start_flows(each, [[1]] * 1000)
    statements = count_calls(app, monkeypatch)
    tasks = [asyncio.create_task(run.wait()) for run in runs]
    await listening(app)
    assert len(sessions(shared_url)) == 1
    await eventually(lambda: statements, "the first look")
    bench = Workbench(workbench.connection, "each")
    for _ in range(10):
        tasks_of_batch = bench.fetch(limit=100)
        await asyncio.to_thread(bench.finish, tasks_of_batch)
    await asyncio.gather(*tasks)
    looks = [statement for statement in statements if "get_run_statuses" in statement]
    assert len(looks) <= 40
    assert len(statements) - len(looks) <= 140  # ten runs are read at once, and fewer at the end of a look
    assert len(sessions(shared_url)) == 1


async def test_many_threads_wait_at_once(shared_url: str, workbench: Workbench) -> None:
    with sync.PgFlow(shared_url) as app:
        app.ensure_compiled(greeting)
        runs = [app.start_flow(greeting, number) for number in range(20)]
        waits = [asyncio.create_task(asyncio.to_thread(run.result, DEADLINE_SECONDS)) for run in runs]
        await asyncio.to_thread(workbench.echo)
        assert [await wait for wait in waits] == [{"greet": number} for number in range(20)]
        assert len(sessions(shared_url)) <= 1


async def test_without_listening_waits_look_now_and_then(shared_url: str, workbench: Workbench) -> None:
    async with PgFlow(shared_url, listen=False) as app:
        await app.ensure_compiled(greeting)
        run = await app.start_flow(greeting, 1)
        task = asyncio.create_task(run.wait())
        workbench.echo()
        assert (await in_time(task)).status == "completed"
        assert sessions(shared_url) == []
        assert registered(shared_url) == []


async def test_a_client_that_closes_is_registered_no_more(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_notifications(monkeypatch)
    async with (
        PgFlow(shared_url) as app,
        subscribed(app.database.watcher.listener),
        subscribed(app.database.watcher.listener, "tasks"),
    ):
        assert registered(shared_url) == ["runs", "tasks"]
    assert registered(shared_url) == []
    await eventually(lambda: not sessions(shared_url), "the session ends")


async def test_a_listener_that_nobody_needs_leaves_after_a_while(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_LINGER_SECONDS", 0.05)
    trust_notifications(monkeypatch)
    async with PgFlow(shared_url) as app:
        for _ in range(2):
            async with subscribed(app.database.watcher.listener):
                assert len(sessions(shared_url)) == 1
            await eventually(lambda: not sessions(shared_url), "the session ends")
            assert registered(shared_url) == []


async def test_who_waits_when_the_client_is_closed_is_told(app: PgFlow) -> None:
    _, task = await waiting(app)
    await app.close()
    with pytest.raises(ConnectionLost, match="the client was closed while it waited for run"):
        await in_time(task)


async def test_a_thread_that_waits_when_the_client_is_closed_is_told(shared_url: str) -> None:
    app = sync.PgFlow(shared_url)
    app.ensure_compiled(greeting)
    run = app.start_flow(greeting, 1)
    task = asyncio.create_task(asyncio.to_thread(run.wait))
    await eventually(lambda: sessions(shared_url), "it waits")
    await asyncio.to_thread(app.close)
    with pytest.raises(ConnectionLost, match="the client was closed"):
        await in_time(task)


async def test_a_closed_client_waits_again(shared_url: str, workbench: Workbench) -> None:
    app = PgFlow(shared_url)
    for _ in range(2):
        await app.ensure_compiled(greeting)
        run = await app.start_flow(greeting, 1)
        task = asyncio.create_task(run.wait(DEADLINE_SECONDS))
        workbench.echo()
        assert (await task).status == "completed"
        await app.close()


# What happens to it


async def test_a_lost_session_is_replaced(app: PgFlow, workbench: Workbench, shared_url: str) -> None:
    _, task = await waiting(app)
    lost = sessions(shared_url)
    terminate(shared_url, *lost)
    await eventually(lambda: sessions(shared_url) not in ([], lost), "there is another session")
    await listening(app)
    workbench.echo()
    assert (await in_time(task)).status == "completed"


async def test_what_ended_while_nobody_listened_is_seen(
    app: PgFlow, workbench: Workbench, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = await waiting(app)
    monkeypatch.setattr(listener, "_FIRST_BACKOFF", 1.0)
    terminate(shared_url, *sessions(shared_url))
    workbench.echo()
    assert (await in_time(task)).status == "completed"


async def test_subscribers_look_when_listening_begins_settles_and_is_interrupted(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.1)
    async with PgFlow(shared_url) as app:
        await app.open()
        async with subscribed(app.database.watcher.listener, "tasks") as payloads:
            assert payloads == ["", ""]  # it has begun, and settled
            terminate(shared_url, *sessions(shared_url))
            await eventually(lambda: payloads == [""] * 5, "told of the loss and of the new session")


async def test_a_half_open_connection_is_noticed(
    shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.0)
    monkeypatch.setattr(listener, "_RENEWAL_SECONDS", 0.1)
    monkeypatch.setattr(session, "_ANSWER_SECONDS", 0.2)
    async with (
        Wire(shared_url) as wire,
        PgFlow(shared_url, listen_url=wire.url) as app,
        subscribed(app.database.watcher.listener) as payloads,
    ):
        wire.cut()
        await eventually(lambda: payloads == [""] * 5, "told of the loss and of the new session")
        workbench.connection.execute("select pg_notify('pgflow_runs', 'x')")
        await eventually(lambda: payloads[5:] == ["x"], "the new session hears")


async def test_a_deaf_listener_says_so_once_and_looks_itself(
    shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(listener, "_BACKOFF_WHEN_IMPOSSIBLE", 0.01)
    monkeypatch.setattr(session, "_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(session.Session, "listen", listen_to_nothing)
    with caplog.at_level(logging.WARNING, "pgflow.listener"):
        async with PgFlow(shared_url) as app:
            await app.ensure_compiled(greeting)
            run = await app.start_flow(greeting, 1)
            task = asyncio.create_task(run.wait())
            await eventually(lambda: caplog.messages, "it complains")
            workbench.echo()
            assert (await in_time(task)).status == "completed"
    assert caplog.messages == [
        "can't listen for notifications, looking now and then instead: a notification sent to itself did not arrive"
    ]


async def listen_to_nothing(self: session.Session, topics: Iterable[str]) -> None:
    await self._execute("unlisten *")


async def test_a_role_that_may_not_register_waits_all_the_same(
    app: PgFlow, workbench: Workbench, shared_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(shared_url, autocommit=True) as connection:
        connection.execute("alter function pgflow.register_listener rename to hidden")
        try:
            run = await app.start_flow(greeting, 1)
            task = asyncio.create_task(run.wait())
            await eventually(lambda: caplog.messages, "it complains")
            workbench.echo()
            assert (await in_time(task)).status == "completed"
        finally:
            connection.execute("alter function pgflow.hidden rename to register_listener")


@pytest.mark.parametrize("kind", [PgFlow, sync.PgFlow], ids=["async", "sync"])
@pytest.mark.parametrize("url", ["postgresql://me:s3cret%zz@host/app", "password=s3cret app", "postgresql:///\0"])
def test_a_listen_url_that_cannot_be_read_is_refused(kind: Any, url: str) -> None:
    with pytest.raises(ValueError, match="listen_url can't be read; write postgresql://user:password@host") as raised:
        kind("postgresql:///x", listen_url=url)
    assert "s3cret" not in str(raised.value)


async def test_a_listen_url_that_leads_nowhere_is_told_once(
    shared_url: str, workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    async with PgFlow(shared_url, listen_url="postgresql://me:s3cret@a..b/x") as app:
        await app.ensure_compiled(greeting)
        run = await app.start_flow(greeting, 1)
        task = asyncio.create_task(run.wait())
        await eventually(lambda: caplog.messages, "it complains")
        workbench.echo()
        assert (await in_time(task)).status == "completed"
    assert "can't listen for notifications" in caplog.text
    assert "s3cret" not in caplog.text


async def test_waits_survive_lost_connections(app: PgFlow, workbench: Workbench, shared_url: str) -> None:
    _, task = await waiting(app)
    everybody = "select pid from pg_stat_activity where datname = current_database() and pid not in (%s, %s)"
    with psycopg.connect(shared_url) as connection:
        own = connection.info.backend_pid, workbench.connection.info.backend_pid
        found = [pid for (pid,) in connection.execute(everybody, own)]
    terminate(shared_url, *found)
    workbench.echo()
    assert (await in_time(task)).status == "completed"


async def test_who_waits_is_told_when_the_database_is_gone_for_long(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "_PAUSE_IN_OUTAGE", 0.02)

    async def gone(call: Any) -> Any:
        raise ConnectionLost("gone")

    run = await app.start_flow(greeting, 1)
    monkeypatch.setattr(app.database, "run", gone)
    with pytest.raises(ConnectionLost, match="gone"):
        await in_time(asyncio.create_task(run.wait()))


async def test_an_error_of_a_look_is_raised_where_it_is_waited(app: PgFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(call: Any) -> Any:
        raise psycopg.errors.InternalError_("broken")

    run = await app.start_flow(greeting, 1)
    monkeypatch.setattr(app.database, "run", broken)
    with pytest.raises(psycopg.errors.InternalError_, match="broken"):
        await in_time(asyncio.create_task(run.wait()))
