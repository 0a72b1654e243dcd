"""`recover_tasks` puts stalled tasks back and ends those given up; one session at a time, so much at a time."""

from __future__ import annotations

from uuid import uuid4

from sql.engine import (
    Connection,
    Row,
    begin,
    complete,
    define,
    live,
    row,
    run,
    set_clock,
    start,
    statuses,
    tasks,
    value,
)
from sql.sessions import DEADLINE_SECONDS, sessions, wait_until_blocked


def recover(connection: Connection, limit: int | None = 1000) -> Row:
    return row(connection, "select * from pgflow.recover_tasks(%s)", limit)


def pass_time(connection: Connection, minutes: int = 5) -> None:
    query = "select (pgflow._now() + make_interval(mins => %s))::text"
    set_clock(connection, value(connection, query, minutes))


def test_stalled_tasks_are_back_in_their_queue_at_once(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "a")
    pass_time(connection)
    assert recover(connection) == {"requeued_count": 3, "failed_count": 0}
    assert [found["status"] for found in tasks(connection, run_id)] == ["queued"] * 3
    assert all(message["seconds"] <= 0 for message in live(connection))


def test_tasks_within_their_time_are_left_alone(connection: Connection) -> None:
    define(connection, "a")
    begin(connection, start(connection), "a")
    assert recover(connection) == {"requeued_count": 0, "failed_count": 0}


def test_what_is_given_up_ends_its_run_by_policy(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    for _ in range(4):
        begin(connection, run_id, "a")
        pass_time(connection)
        recover(connection)
    assert recover(connection) == {"requeued_count": 0, "failed_count": 1}
    assert statuses(connection, run_id) == {"a": "failed"}
    assert run(connection, run_id)["status"] == "failed"


def test_no_more_than_the_limit_is_put_back_and_the_rest_the_next_time(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2, 3, 4, 5])
    begin(connection, run_id, "a")
    pass_time(connection)
    assert [recover(connection, 2)["requeued_count"] for _ in range(4)] == [2, 2, 1, 0]


def test_a_listener_that_is_long_gone_is_forgotten(connection: Connection) -> None:
    connection.execute("select pgflow.register_listener(%s, 'runs', 60)", [uuid4()])
    connection.execute("update pgflow.listeners set expires_at = now() - interval '1 hour'")
    recover(connection)
    assert value(connection, "select count(*) from pgflow.listeners") == 0


def test_a_second_session_neither_waits_nor_does_it_again(database_url: str) -> None:
    with sessions(database_url) as (first, second):
        define(first.connection, "a")
        begin(first.connection, start(first.connection), "a")
        first.connection.commit()
        pass_time(first.connection)
        pass_time(second.connection)
        assert recover(first.connection)["requeued_count"] == 1
        assert recover(second.connection) == {"requeued_count": 0, "failed_count": 0}
        first.connection.rollback()
        assert recover(second.connection)["requeued_count"] == 1


def test_whoever_listens_for_tasks_is_told(database_url: str) -> None:
    with sessions(database_url) as (worker, listener):
        define(worker.connection, "a")
        begin(worker.connection, start(worker.connection), "a")
        worker.connection.execute("select pgflow.register_listener(%s, 'tasks', 60)", [uuid4()])
        worker.connection.commit()
        listener.connection.execute("listen pgflow_tasks")
        listener.connection.commit()
        pass_time(worker.connection)
        recover(worker.connection)
        worker.connection.commit()
        told = next(listener.connection.notifies(timeout=20, stop_after=1))
        assert (told.channel, told.payload) == ("pgflow_tasks", "flow")


def test_it_holds_no_task_while_it_waits_for_a_run(database_url: str) -> None:
    with sessions(database_url, 3) as (worker, recovery, observer):
        define(worker.connection, "a", "b")
        given_up, stalled = start(worker.connection), start(worker.connection)
        for run_id, step_slug in ((given_up, "a"), (given_up, "b"), (stalled, "a"), (stalled, "b")):
            begin(worker.connection, run_id, step_slug)
        query = """
            update pgflow.step_tasks set permanently_stalled_at = now(), requeued_count = 3
            where run_id = %s and step_slug = 'a'
        """
        worker.connection.execute(query, (given_up,))
        worker.connection.commit()

        complete(worker.connection, given_up, "b")  # holds its run
        pass_time(recovery.connection)
        recovering = recovery.in_background(recover)
        wait_until_blocked(observer.connection, recovery, worker, recovering)
        complete(worker.connection, stalled, "b")
        complete(worker.connection, stalled, "a")
        worker.connection.commit()
        assert recovering.result(timeout=DEADLINE_SECONDS) == {"requeued_count": 0, "failed_count": 1}
        recovery.connection.commit()
