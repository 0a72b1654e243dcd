"""`exchange_tasks`: reports for tasks, in one call, with continuations first."""

from __future__ import annotations

from typing import Any

from sql.engine import (
    JSON_NULL,
    UNKNOWN,
    WORKER,
    Connection,
    Row,
    archived,
    begin,
    define,
    event_names,
    exchange,
    live,
    record_events,
    run,
    start,
    state,
    statuses,
    step,
    task,
    tasks,
    value,
)


def names(exchanged: Row) -> list[tuple[str, int]]:
    """Which tasks were handed over."""
    return [(found["step_slug"], found["task_index"]) for found in exchanged["tasks"] or []]


def visible_in(connection: Connection, message: Row) -> float:
    """In how many seconds a message becomes visible."""
    return float(value(connection, "select extract(epoch from %s - clock_timestamp())", message["vt"]))


def test_without_reports_it_fetches(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection, 7)
    exchanged = exchange(connection)
    assert exchanged["recorded"] == []
    [handed] = exchanged["tasks"]
    assert (handed["run_id"], handed["flow_input"], handed["attempt"]) == (str(run_id), 7, 1)
    assert task(connection, run_id, "a")["status"] == "started"


def test_without_anything_to_do_it_says_so(connection: Connection) -> None:
    define(connection, "a")
    nothing = {"recorded": [], "tasks": None, "ended_runs": None, "pause": None, "read_until": [None]}
    assert exchange(connection) == nothing


def test_what_a_report_makes_ready_is_handed_back_started(connection: Connection) -> None:
    define(connection, "a", "b < a", timeout=20)
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, "x", 1)])
    assert exchanged["recorded"] == [1]
    assert names(exchanged) == [("b", 0)]
    assert exchanged["tasks"][0]["input"] == {"a": "x"}
    continued = task(connection, run_id, "b")
    assert (continued["status"], continued["attempts_count"], continued["last_worker_id"]) == ("started", 1, WORKER)
    [message] = live(connection)
    assert message["read_ct"] == 1
    assert 21 < visible_in(connection, message) <= 22


def test_continuations_come_before_the_queue(connection: Connection) -> None:
    define(connection, "a", "b < a")
    first = start(connection)
    exchange(connection)
    start(connection)
    exchanged = exchange(connection, [(first, "a", 0, 1, 1)], limit=1)
    assert names(exchanged) == [("b", 0)]
    assert names(exchange(connection)) == [("a", 0)]


def test_what_there_is_no_room_for_stays_in_the_queue(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, list(range(5)), 1)], limit=2)
    assert names(exchanged) == [("m", 0), ("m", 1)]
    assert [found["input"] for found in exchanged["tasks"]] == [0, 1]
    assert [found["status"] for found in tasks(connection, run_id, "m")] == ["started"] * 2 + ["queued"] * 3
    assert names(exchange(connection, limit=10)) == [("m", 2), ("m", 3), ("m", 4)]


def test_with_no_room_at_all_it_only_reports(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    exchange(connection)
    assert exchange(connection, [(run_id, "a", 0, 1, 1)], limit=0)["tasks"] is None
    assert task(connection, run_id, "b")["status"] == "queued"


def test_a_delayed_continuation_is_not_handed_back(connection: Connection) -> None:
    define(connection, "a", step("b < a", start_delay=60))
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, 1, 1)])
    assert exchanged["tasks"] is None
    assert 59 < exchanged["pause"] <= 60
    assert task(connection, run_id, "b")["status"] == "queued"


def test_continuations_of_flows_that_are_not_wanted_stay_in_their_queue(connection: Connection) -> None:
    define(connection, "a", "b < a")
    define(connection, "a", flow="other")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, 1, 1)], flows=["other"])
    assert exchanged["tasks"] is None
    assert task(connection, run_id, "b")["status"] == "queued"


def test_queues_are_asked_in_the_order_of_the_flows(connection: Connection) -> None:
    define(connection, "a", flow="first")
    define(connection, "a", flow="second")
    for flow in ("first", "second"):
        start(connection, 1, flow)
    handed = exchange(connection, flows=["second", "first"], limit=1)["tasks"]
    assert [found["flow_slug"] for found in handed] == ["second"]


def test_completions_and_failures_of_one_run_go_together(connection: Connection) -> None:
    define(connection, "a", step("b", max_attempts=1), "c < a")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, 1, 1)], [(run_id, "b", 0, "boom", 1)])
    assert sorted(exchanged["recorded"]) == [1, 2]
    assert exchanged["tasks"] is None
    assert statuses(connection, run_id) == {"a": "completed", "b": "failed", "c": "created"}
    assert run(connection, run_id)["status"] == "failed"
    assert live(connection) == []


def test_a_failure_that_skips_and_a_completion_make_the_same_child_ready(connection: Connection) -> None:
    define(connection, "a", step("b", max_attempts=1, when_exhausted="skip"), "c < a b")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, 1, 1)], [(run_id, "b", 0, "boom", 1)])
    assert names(exchanged) == [("c", 0)]
    assert exchanged["tasks"][0]["input"] == {"a": 1}


def test_positions_are_those_of_the_arrays(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=2)
    run_id = start(connection)
    exchange(connection)
    completed: list[Any] = [(UNKNOWN, "a", 0, 1, 1), (run_id, "a", 0, 1, 1)]
    failed: list[Any] = [(run_id, "a", 0, "late", 1), (run_id, "b", 0, "boom", 1), (run_id, "b", 0, "old", 7)]
    assert sorted(exchange(connection, completed, failed)["recorded"]) == [2, 4]


def test_a_repeated_exchange_changes_nothing_but_fetches(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    exchange(connection)
    exchange(connection, [(run_id, "a", 0, "first", 1)])
    exchanged = exchange(connection, [(run_id, "a", 0, "second", 1)])
    assert (exchanged["recorded"], exchanged["tasks"], exchanged["ended_runs"]) == ([], None, None)
    assert state(connection, run_id, "a")["output"] == "first"


def test_a_retry_is_not_handed_back_before_its_time(connection: Connection) -> None:
    define(connection, "a", base_delay=30)
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, failed=[(run_id, "a", 0, "boom", 1)])
    assert exchanged["tasks"] is None
    assert 59 < exchanged["pause"] <= 60


def test_the_runs_that_it_ends_are_told(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    good, bad, other = (start(connection) for _ in range(3))
    exchange(connection)
    told = exchange(connection, [(good, "a", 0, JSON_NULL, 1)], [(bad, "a", 0, "boom", 1)], limit=0)["ended_runs"]
    assert {found["run_id"]: (found["status"], found["error_message"]) for found in told} == {
        str(good): ("completed", None),
        str(bad): ("failed", "boom"),
    }
    assert all(found["flow_slug"] == "flow" and found["seconds"] >= 0 for found in told)
    again = exchange(connection, [(good, "a", 0, 1, 1), (other, "a", 0, 1, 1)], limit=0)["ended_runs"]
    assert [found["run_id"] for found in again] == [str(other)]


def test_events_come_in_the_order_of_what_happens(connection: Connection) -> None:
    define(connection, "a", "b < a")
    record_events(connection)
    run_id = start(connection)
    exchange(connection)
    exchange(connection, [(run_id, "a", 0, 1, 1)])
    exchange(connection, [(run_id, "b", 0, 1, 1)])
    assert event_names(connection) == [
        "run:started",
        "step:a:started",
        "step:a:completed",
        "step:b:started",
        "step:b:completed",
        "run:completed",
    ]


def test_the_messages_of_reported_tasks_are_archived(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    exchange(connection)
    exchange(connection, [(run_id, "a", 0, 1, 1)])
    assert live(connection) == []
    assert len(archived(connection)) == 1


def test_continuations_run_through_empty_maps(connection: Connection) -> None:
    define(connection, "a", "m* < a", "c < m")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, [], 1)])
    assert names(exchanged) == [("c", 0)]
    assert exchanged["tasks"][0]["input"] == {"m": []}


def test_the_pause_is_left_out_when_all_that_is_wanted_was_there(connection: Connection) -> None:
    define(connection, "a")
    for _ in range(2):
        start(connection)
    assert exchange(connection, limit=1)["pause"] is None


def test_tasks_of_a_run_that_failed_meanwhile_are_not_handed_over(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    run_id = start(connection)
    begin(connection, run_id, "a")
    exchanged = exchange(connection, failed=[(run_id, "a", 0, "boom", 1)])
    assert exchanged["tasks"] is None
    assert live(connection) == []


def test_reading_goes_on_where_it_was_told_to(connection: Connection) -> None:
    define(connection, "a")
    for number in range(3):
        start(connection, number)
    full = exchange(connection, limit=1)
    assert full["read_until"] != [None]
    rest = exchange(connection, limit=5, since=full["read_until"])
    assert [found["flow_input"] for found in rest["tasks"]] == [1, 2]
    assert rest["read_until"] == [None]


def test_what_lies_before_it_is_only_found_from_the_beginning(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    later = value(connection, "select clock_timestamp()")
    assert exchange(connection, since=[later])["tasks"] is None
    assert names(exchange(connection, since=[None])) == [("a", 0)]


def test_each_flow_has_its_own_place(connection: Connection) -> None:
    define(connection, "a", flow="first")
    define(connection, "a", flow="second")
    for flow in ("first", "second", "second"):
        start(connection, 1, flow)
    exchanged = exchange(connection, flows=["first", "second"], limit=2)
    assert exchanged["read_until"][0] is None
    assert exchanged["read_until"][1] is not None
