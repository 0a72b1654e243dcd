"""Many sessions make all kinds of calls at random and at once: no deadlock, no broken constraint, sound rows after it.

Beside what workers do, there are operators: runs are pruned while they end, steps are skipped by hand, workers die and
report late, batches mix flows. `PGFLOW_STORM_SECONDS` makes it longer.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from psycopg.errors import RaiseException

from sql.engine import Connection, Row, as_json, connect, define, record_events, rows, step, value
from sql.invariants import check_invariants

SESSIONS = 8
SECONDS = float(os.environ.get("PGFLOW_STORM_SECONDS", "30"))
MOST_RUNS = 40
FLOWS = ("chain", "maps", "failing", "skipping", "waiting")


@dataclass
class Session:
    """A connection that plays workers and operators, each call in a transaction of its own."""

    connection: Connection
    chance: random.Random
    worker_id: UUID = field(init=False)
    hand: list[Row] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.be_another_worker()

    def play(self, deadline: float) -> None:
        """Make calls until the deadline."""
        calls = {
            self.start: 4,
            self.fetch: 10,
            self.start_tasks: 4,
            self.complete_tasks: 10,
            self.fail_tasks: 5,
            self.exchange: 10,
            self.release: 3,
            self.complete_task: 4,
            self.fail_task: 3,
            self.release_lost: 1,
            self.extend: 3,
            self.recover: 2,
            self.recover_limited: 2,
            self.fail_stalled: 1,
            self.prune: 2,
            self.prune_some: 2,
            self.move_on: 4,
            self.force_skip: 1,
            self.delay: 1,
            self.die: 1,
            self.cancel: 2,
            self.retry: 5,
        }
        while time.monotonic() < deadline:
            [call] = self.chance.choices(list(calls), list(calls.values()))
            with self.connection.transaction():
                call()
            self.calls[call.__name__] += 1

    # What clients do

    def start(self) -> None:
        if value(self.connection, "select count(*) from pgflow.runs where status = 'started'") < MOST_RUNS:
            inputs = [as_json(list(range(self.chance.randrange(5)))) for _ in range(self.chance.randrange(1, 4))]
            self.connection.execute("select pgflow.start_flows(%s, %s)", (self.chance.choice(FLOWS), inputs))

    def cancel(self) -> None:
        """Cancel runs of several flows, in any order, some of which have ended or are gone."""
        self.connection.execute("select * from pgflow.cancel_runs(%s, 'storm')", (self.some_runs(),))

    def retry(self) -> None:
        self.connection.execute("select * from pgflow.retry_runs(%s)", (self.some_runs(),))

    def delay(self) -> None:
        flow = self.chance.choice(FLOWS)
        self.connection.execute("select pgflow.delay_run(%s, %s, 0)", (flow, self.any_run(flow)))

    # What workers do

    def fetch(self) -> None:
        limit = self.chance.randrange(1, 10)
        query = "select * from pgflow.fetch_tasks(%s, %s, %s)"
        self.hand += rows(self.connection, query, self.chance.choice(FLOWS), self.worker_id, limit)

    def start_tasks(self) -> None:
        query = """
            select t.* from pgflow.start_tasks(%(flow)s, array(
              select msg_id from pgmq.read(%(flow)s, 0, 20) order by random()
            ), %(worker)s) t
        """
        parameters = {"flow": self.chance.choice(FLOWS), "worker": self.worker_id}
        self.hand += self.connection.execute(query, parameters).fetchall()

    def complete_tasks(self) -> None:
        tasks = self.some_tasks()
        query = "select pgflow.complete_tasks(%s::uuid[], %s::text[], %s::int[], %s::jsonb[], %s::int[])"
        self.connection.execute(query, (*addresses(tasks), [self.any_output() for _ in tasks], attempts(tasks)))

    def fail_tasks(self) -> None:
        tasks = self.some_tasks()
        query = "select pgflow.fail_tasks(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[])"
        self.connection.execute(query, (*addresses(tasks), ["boom"] * len(tasks), attempts(tasks)))

    def exchange(self) -> None:
        tasks = self.some_tasks()
        outputs = [self.any_output() if self.chance.random() < 0.7 else None for _ in tasks]
        flows = self.chance.sample(FLOWS, 2)
        query = """
            select task.*
            from pgflow.exchange_tasks(
              %s::uuid[], %s::text[], %s::int[], %s::int[], %s::jsonb[], %s::text[], %s::boolean[], %s::int[],
              %s::text[], %s::uuid[], %s
            ) as exchanged, unnest(exchanged.tasks) as task
        """
        errors = ["boom" if output is None else None for output in outputs]
        workers, limit = [self.worker_id] * 2, self.chance.randrange(10)
        self.hand += self.connection.execute(
            query,
            (*addresses(tasks), attempts(tasks), outputs, errors, [None], [None], flows, workers, limit),
        ).fetchall()

    def release(self) -> None:
        tasks = self.some_tasks()
        query = "select pgflow.release_tasks(%s::uuid[], %s::text[], %s::int[], %s::int[])"
        self.connection.execute(query, (*addresses(tasks), attempts(tasks)))

    def release_lost(self) -> None:
        tasks = [task for task in self.hand if task.get("attempt")]
        query = "select pgflow.release_lost_tasks(%s, %s::uuid[], %s::text[], %s::int[], %s::int[])"
        self.connection.execute(query, ([self.worker_id], *addresses(tasks), attempts(tasks)))

    def extend(self) -> None:
        query = "select pgflow.extend_leases(%s::uuid[], %s::text[], %s::int[], %s::int[])"
        self.connection.execute(query, (*addresses(self.hand), attempts(self.hand)))

    def complete_task(self) -> None:
        for task in self.some_tasks(most=1):
            parameters = (task["run_id"], task["step_slug"], task["task_index"], self.any_output())
            self.connection.execute("select pgflow.complete_task(%s, %s, %s, %s)", parameters)

    def fail_task(self) -> None:
        for task in self.some_tasks(most=1):
            parameters = (task["run_id"], task["step_slug"], task["task_index"], "boom")
            self.connection.execute("select pgflow.fail_task(%s, %s, %s, %s)", parameters)

    def die(self) -> None:
        """Let a worker be pruned whose tasks are reported later all the same."""
        query = "update pgflow.workers set last_heartbeat_at = now() - interval '1 day' where worker_id = %s"
        self.connection.execute(query, (self.worker_id,))
        self.be_another_worker()

    def be_another_worker(self) -> None:
        self.worker_id = UUID(int=self.chance.getrandbits(128))
        query = """
            insert into pgflow.workers (worker_id, queue_name, function_name, last_heartbeat_at)
            values (%s, 'maps', 'storm', now() + interval '1 day')
        """
        self.connection.execute(query, (self.worker_id,))

    # What operators do

    def recover(self) -> None:
        threshold = self.chance.choice([0.0, -1000.0])
        self.connection.execute("select pgflow.recover_stalled_tasks(%s)", (threshold,))
        self.connection.execute("select pgflow.requeue_stalled_tasks()")

    def recover_limited(self) -> None:
        """Recover as workers do, when everything has stalled."""
        self.connection.execute("select set_config('pgflow.now', (now() + interval '5 minutes')::text, true)")
        self.connection.execute("select * from pgflow.recover_tasks(5)")

    def fail_stalled(self) -> None:
        self.connection.execute("select pgflow.fail_stalled_tasks()")

    def prune(self) -> None:
        self.connection.execute("select pgflow.prune_data_older_than(interval '20 ms')")

    def prune_some(self) -> None:
        flows = self.chance.sample(FLOWS, 2)
        self.connection.execute("select pgflow.prune_data_older_than(interval '0 s', %s, 3)", (flows,))

    def move_on(self) -> None:
        """Call what moves runs on, which there is nothing left for."""
        blocks = (
            "start_ready_steps",
            "cascade_complete_taskless_steps",
            "cascade_resolve_conditions",
            "maybe_complete_run",
        )
        run_id = self.any_run(self.chance.choice(FLOWS))
        self.connection.execute(f"select pgflow.{self.chance.choice(blocks)}(%s)", (run_id,))

    def force_skip(self) -> None:
        run_id = self.any_run(self.chance.choice(FLOWS))
        with suppress(RaiseException), self.connection.transaction():  # the run may have been pruned by now
            query = "select pgflow._cascade_force_skip_steps(%s, %s, 'by_hand')"
            self.connection.execute(query, (run_id, self.chance.choice("abc")))
        self.connection.execute("select pgflow.maybe_complete_run(%s)", (run_id,))

    # Choices

    def some_tasks(self, most: int = 12) -> list[Row]:
        """Take some tasks out of the hand; a few stay there, to be reported again."""
        self.chance.shuffle(self.hand)
        chosen = self.hand[: self.chance.randrange(1, most + 1)]
        self.hand = self.hand[len(chosen) :] + [task for task in chosen if self.chance.random() < 0.1]
        return chosen

    def any_output(self) -> object:
        return as_json(self.chance.choice([[], [1], [1, 2, 3], [1, 2, 3], [[0]] * 4, {"is": "no array"}]))

    def some_runs(self) -> list[UUID | None]:
        return [self.any_run(flow) for flow in self.chance.sample(FLOWS, self.chance.randrange(1, 4))]

    def any_run(self, flow: str) -> UUID | None:
        query = "select run_id from pgflow.runs where flow_slug = %s order by started_at desc limit 10"
        run_ids = [found["run_id"] for found in rows(self.connection, query, flow)]
        return self.chance.choice(run_ids) if run_ids else None


def addresses(tasks: list[Row]) -> list[list[object]]:
    return [[task[name] for task in tasks] for name in ("run_id", "step_slug", "task_index")]


def attempts(tasks: list[Row]) -> list[int | None]:
    """Return the attempts of tasks; those started by the contract's function come without."""
    return [task.get("attempt") for task in tasks]


def define_flows(connection: Connection) -> None:
    define(connection, "a", "b < a", "c* < b", flow="chain", base_delay=0)
    define(connection, "a*", "b* < a", "c < b", "d* < a", "e < c d", flow="maps", base_delay=0)
    define(connection, "c*", "a", "b", "d < a b c", flow="failing", max_attempts=1)
    skipping: list[str | Row] = [
        step("a*", when_exhausted="skip"),
        step("b", when_exhausted="skip-cascade"),
        "c < b",
        step("d < a", required_input_pattern={"a": [[1]]}, when_unmet="skip-cascade"),
        step("e* < a", when_exhausted="skip"),
        "f < c d e",
    ]
    define(connection, *skipping, flow="skipping", max_attempts=1)
    failing = step("d < b", forbidden_input_pattern={"b": []}, when_unmet="fail")
    define(connection, "a", "b < a", "c* < a", failing, "e < c d", flow="waiting", max_attempts=2, base_delay=0)


@pytest.fixture
def sessions(database_url: str) -> Iterator[list[Session]]:
    """The sessions, which make the same choices in every test run, if not at the same time."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(database_url, autocommit=True)) for _ in range(SESSIONS)]
        define_flows(connections[0])
        record_events(connections[0])
        yield [Session(connection, random.Random(seed)) for seed, connection in enumerate(connections)]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 100)
def test_all_calls_at_once_end_in_neither_deadlock_nor_contradiction(
    sessions: list[Session], statistics: Counter[str]
) -> None:
    deadline = time.monotonic() + SECONDS
    with ThreadPoolExecutor(SESSIONS) as threads:
        for playing in [threads.submit(session.play, deadline) for session in sessions]:
            playing.result()

    observer = sessions[0].connection
    check_invariants(observer)
    check_events(observer)
    statistics.update(sum((session.calls for session in sessions), Counter()))
    ended = rows(observer, "select event, count(*) from realtime.messages where event like 'run:%' group by event")
    statistics.update({found["event"]: found["count"] for found in ended})
    again = "select count(*) - count(distinct topic) from realtime.messages where event = 'run:started'"
    statistics["run:started again"] = value(observer, again)
    assert statistics.keys() >= {"run:completed", "run:failed", "prune", "force_skip", "cancel", "retry"}
    assert statistics["run:started again"] > 0


def check_events(connection: Connection) -> None:
    """No run and no step ends twice, unless the run was retried in between; what has completed never does."""
    connection.execute("create index on realtime.messages (topic, id)")
    query = """
        select * from (
          select id, topic, event,
            lag(event) over thing as event_before,
            lag(id) over thing as id_before
          from realtime.messages
          where event not like '%:started'
          window thing as (partition by topic, coalesce(payload ->> 'step_slug', 'run') order by id)
        ) as ended
        where id_before is not null and (
          event_before like '%:completed'
          or not exists (
            select from realtime.messages m
            where m.topic = ended.topic and m.id between ended.id_before and ended.id and m.event = 'run:started'
          )
        )
    """
    assert rows(connection, query) == []
