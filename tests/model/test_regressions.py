"""Calls in which the engine once did something else than the model, each as a test of its own."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from model.comparison import Comparison
from model.definition import Flow, Step
from model.records import Completion
from sql.engine import connect, define, fetch, record_events, start, value

PRUNE = "select deleted_workers from pgflow.prune_data_older_than(interval '1 hour', null)"


@pytest.fixture
def recorded(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    record_events(connection)
    return connection


@pytest.fixture
def both(recorded: psycopg.Connection[Any]) -> Comparison:
    """A flow whose one task is in its second attempt."""
    both = Comparison(recorded, Flow("flow", (Step("a"), Step("b", ("a",), is_map=True)), max_attempts=3))
    run_id = both.start_flow("flow")
    both.start_all("flow")
    both.fail_task(run_id, "a")
    both.start_all("flow")
    return both


def test_the_first_of_two_reports_counts_also_where_the_second_has_the_wrong_type(both: Comparison) -> None:
    [run_id] = both.model.runs
    both.complete_tasks([Completion(run_id, "a", 0, ["first"]), Completion(run_id, "a", 0, "second")])


@pytest.mark.parametrize("attempts", [(None, 2), (2, None)])
@pytest.mark.parametrize("outputs", [(["first"], ["second"]), (["first"], "second")])
def test_of_reports_with_and_without_attempt_the_first_counts(both: Comparison, attempts: Any, outputs: Any) -> None:
    [run_id] = both.model.runs
    both.complete_tasks([Completion(run_id, "a", 0, *report) for report in zip(outputs, attempts, strict=True)])


def test_pruning_leaves_a_worker_to_the_next_time_while_somebody_holds_one_of_its_tasks(database_url: str) -> None:
    with connect(database_url, autocommit=True) as observer, connect(database_url, autocommit=True) as holder:
        define(observer, "a")
        start(observer)
        fetch(observer)
        observer.execute("update pgflow.workers set last_heartbeat_at = now() - interval '1 day'")
        observer.execute("set lock_timeout = '20 s'")
        with holder.transaction():
            holder.execute("select from pgflow.step_tasks for update")
            assert value(observer, PRUNE) == 0
        assert value(observer, PRUNE) == 1
