"""Lost connections, lost servers, lost flows, and reports that the database refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest

from conftest import as_superuser
from pgflow import Flow, PgFlow
from pgflow.types import TaskReport
from pgflow.worker.trade import Trader
from pgflow.worker.worker import Worker
from servers import Server
from worker.running import DEADLINE_SECONDS, QUICK, ended, eventually, query, tasks, working


@pytest.fixture
def url(newest_database_url: str) -> str:
    return newest_database_url


def terminate_backends(url: str) -> None:
    """End all connections to a database but this one."""
    with as_superuser(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


def gated_flow(slug: str, entered: asyncio.Event, released: asyncio.Event) -> Flow:
    """A map whose handlers wait until they are released."""
    flow = Flow(slug)

    @flow.map
    async def step(element: int) -> int:
        entered.set()
        await released.wait()
        return element

    return flow


async def test_results_are_delivered_after_the_connections_were_lost(app: PgFlow, url: str) -> None:
    entered, released = asyncio.Event(), asyncio.Event()
    flow = gated_flow("lost", entered, released)
    async with working(app, flow, concurrency=10):
        run = await app.start_flow(flow, list(range(10)))
        await eventually(lambda: all(row["status"] == "started" for row in tasks(url)), "all tasks run")
        terminate_backends(url)
        released.set()
        await eventually(lambda: all(row["status"] == "completed" for row in tasks(url)), "all are reported")
    assert output_of(url, run.run_id) == {"step": list(range(10))}
    assert {row["attempts_count"] for row in tasks(url)} == {1}


def output_of(url: str, run_id: UUID) -> object:
    (row,) = query(url, "select output from pgflow.runs where run_id = %s", run_id)
    return row["output"]


async def test_a_worker_survives_losing_its_connections_again_and_again(app: PgFlow, url: str) -> None:
    flow = Flow("tough")

    @flow.map
    async def step(element: int) -> int:
        await asyncio.sleep(0.001)
        return element

    async with working(app, flow, concurrency=5):
        await app.start_flow(flow, list(range(200)))
        for share in (20, 60, 100):
            await eventually(partial(is_completed, url, share), f"{share} tasks are completed")
            terminate_backends(url)
        await eventually(partial(is_completed, url, 200), "all tasks are completed")
    assert query(url, "select count(*) from pgmq.q_tough") == [{"count": 0}]


def is_completed(url: str, count: int) -> bool:
    rows = query(url, "select count(*) from pgflow.step_tasks where status = 'completed'")
    return bool(rows[0]["count"] >= count)


@pytest.fixture
def lone_server(newest_server: Server) -> Iterator[Server]:
    """A server that only one test uses, and may restart."""
    server = Server(newest_server.version, newest_server.binaries)
    server.start()
    yield server
    server.stop()


async def test_a_worker_survives_a_restart_of_the_server(lone_server: Server) -> None:
    url = lone_server.url(lone_server.create_database(lone_server.template()))
    entered, released = asyncio.Event(), asyncio.Event()
    flow = gated_flow("restart", entered, released)
    async with PgFlow(url) as app, working(app, flow):
        run = await app.start_flow(flow, [1, 2, 3])
        await eventually(lambda: all(row["status"] == "started" for row in tasks(url)), "all tasks run")
        await asyncio.to_thread(lone_server._run, "pg_ctl", "-w", "-m", "fast", "stop")
        released.set()
        await asyncio.sleep(0)
        await asyncio.to_thread(restart, lone_server)
        await eventually(lambda: is_completed(url, 3), "all tasks are reported")
        assert output_of(url, run.run_id) == {"step": [1, 2, 3]}
    assert {row["attempts_count"] for row in tasks(url)} == {1}


def restart(server: Server) -> None:
    options = f"-c listen_addresses='' -c fsync=off -c unix_socket_directories='{server.directory}'"
    server._run("pg_ctl", "-w", "-t", "60", "-l", f"{server.directory}/log", "-o", options, "start")


async def test_a_worker_stops_while_the_server_is_away(lone_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgflow.worker.worker._FAREWELL_SECONDS", 0.2)
    url = lone_server.url(lone_server.create_database(lone_server.template()))
    entered, released = asyncio.Event(), asyncio.Event()
    flow = gated_flow("gone", entered, released)
    async with PgFlow(url) as app:
        worker = Worker(app, [flow], poll_interval=QUICK)
        await worker.start()
        await app.start_flow(flow, [1])
        await eventually(entered.is_set, "the handler runs")
        await asyncio.to_thread(lone_server._run, "pg_ctl", "-w", "-m", "immediate", "stop")
        released.set()
        async with asyncio.timeout(15):
            await worker.stop(0.1)
    await asyncio.to_thread(restart, lone_server)  # it is stopped afterwards


@pytest.mark.parametrize(
    "loss", ["select pgflow.delete_flow_and_data('doomed')", "select pgmq.drop_queue('doomed')"], ids=["flow", "queue"]
)
async def test_a_lost_flow_does_not_keep_a_worker_from_its_others(app: PgFlow, url: str, loss: str) -> None:
    entered, released = asyncio.Event(), asyncio.Event()
    doomed = gated_flow("doomed", entered, released)
    healthy = Flow("healthy")

    @healthy.map
    def step(element: int) -> int:
        return element

    async with working(app, doomed, healthy):
        await app.start_flow(doomed, [1, 2])
        await eventually(entered.is_set, "a task of the lost flow runs")
        query(url, loss)
        released.set()
        for value in ([1], [2], [3]):
            assert (await ended(app, healthy, value)).output == {"step": value}


async def test_a_flow_that_comes_back_is_worked_again(app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("pgflow.worker.trade._REST_OF_A_FLOW", 0.05)
    flow = Flow("phoenix")

    @flow.step
    def step(value: int) -> int:
        return value

    async with working(app, flow):
        query(url, "select pgflow.delete_flow_and_data('phoenix')")
        await app.ensure_compiled(flow)
        assert (await ended(app, flow, 1)).output == {"step": 1}


async def test_a_worker_whose_row_was_pruned_registers_again(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("pgflow.worker.trade._REST_OF_A_FLOW", 0.05)
    flow = Flow("pruned")

    @flow.step
    def step(value: int) -> int:
        return value

    async with working(app, flow, heartbeat_interval=0.05):
        query(url, "delete from pgflow.workers")
        assert (await ended(app, flow, 1)).status == "completed"


async def test_a_report_that_the_database_refuses_fails_its_own_task_only(app: PgFlow, url: str) -> None:
    flow = Flow("picky", max_attempts=1, base_delay=0)

    @flow.map
    def step(element: int) -> int:
        return element

    query(
        url,
        "create function refuse() returns trigger language plpgsql as $$ begin "
        "if new.output = '13' then raise exception 'thirteen is refused'; end if; return new; end $$",
    )
    query(url, "create trigger refuse before update on pgflow.step_tasks for each row execute function refuse()")
    async with working(app, flow):
        runs = [await app.start_flow(flow, [element]) for element in (12, 13, 14)]
        statuses = [(await run.wait(DEADLINE_SECONDS)).status for run in runs]
    assert statuses == ["completed", "failed", "completed"]
    assert "thirteen is refused" in (runs[1].step("step").error_message or "")


@pytest.mark.parametrize(
    "refused",
    [
        TaskReport(uuid4(), "step", 0, 1, output=b"[1, 2"),
        TaskReport(uuid4(), "step", 0, 1, output=b'"\\u0000"'),
        TaskReport(uuid4(), "step", 0, 1, error_message="a\0b"),
    ],
    ids=["no JSON", "NUL in JSON", "NUL in text"],
)
async def test_a_report_that_is_no_data_is_dropped(app: PgFlow, refused: TaskReport) -> None:
    assert (await Trader(app.database, []).trade([refused], {}, 0)).recorded == []


async def test_reports_are_kept_while_the_database_is_read_only(
    app: PgFlow, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.worker.exchange._LONGEST_BACKOFF", 0.05)
    entered, released = asyncio.Event(), asyncio.Event()
    flow = gated_flow("failover", entered, released)
    database = query(url, "select current_database() as name")[0]["name"]
    async with working(app, flow):
        run = await app.start_flow(flow, [1])
        await eventually(entered.is_set, "the handler runs")
        set_read_only(url, database, "on")
        released.set()
        await eventually(lambda: "read-only" in caplog.text, "the report is refused")
        set_read_only(url, database, "off")
        await eventually(lambda: is_completed(url, 1), "the report is delivered")
    assert output_of(url, run.run_id) == {"step": [1]}
    assert tasks(url)[0]["attempts_count"] == 1


def set_read_only(url: str, database: str, value: str) -> None:
    """Make a database read-only for new sessions, or writable, and end the present ones."""
    with as_superuser(url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(f"alter database {database} set default_transaction_read_only = {value}")
    terminate_backends(url)


async def test_reports_are_delivered_again_after_the_connection_broke_in_the_middle(app: PgFlow, url: str) -> None:
    entered, released = asyncio.Event(), asyncio.Event()
    flow = gated_flow("cut", entered, released)
    async with working(app, flow):
        run = await app.start_flow(flow, [1])
        await eventually(entered.is_set, "the handler runs")
        with psycopg.connect(url) as blocking:
            blocking.execute("select from pgflow.runs for update")
            released.set()
            await eventually(lambda: waits_for_a_lock(url), "the report waits")
            terminate_backends_waiting(url)
        assert (await run.wait(DEADLINE_SECONDS)).output == {"step": [1]}
    assert tasks(url)[0]["attempts_count"] == 1


def waits_for_a_lock(url: str) -> bool:
    with as_superuser(url) as connection:
        return bool(connection.execute(WAITING).fetchall())


def terminate_backends_waiting(url: str) -> None:
    with as_superuser(url) as connection:
        connection.execute(f"select pg_terminate_backend(pid) from ({WAITING}) as waiting")


WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
