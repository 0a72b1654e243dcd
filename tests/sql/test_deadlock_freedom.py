"""Many sessions that start, fetch, complete, fail and recover at random never meet in a deadlock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from sql.engine import (
    Connection,
    Report,
    Row,
    complete_batch,
    connect,
    define,
    fail_batch,
    fetch,
    read,
    register,
    rows,
    set_clock,
    start,
    start_tasks,
    step,
    value,
)

SECONDS = 8
SESSIONS = 8
FLOWS = ("chain", "maps", "failing", "skipping", "typed")


@dataclass
class Player:
    """A session that makes random calls, each in a transaction of its own, and remembers the tasks it was given."""

    connection: Connection
    chance: random.Random
    hand: list[Row] = field(default_factory=list)

    def play(self, deadline: float) -> int:
        """Make calls until the deadline; returns their number."""
        moves: list[tuple[Callable[[], object], int]] = [
            (self.start, 2),
            (self.fetch, 4),
            (self.read_and_start, 2),
            (self.complete, 5),
            (self.exchange, 5),
            (self.fail, 2),
            (self.recover, 1),
        ]
        calls = 0
        while time.monotonic() < deadline:
            [move] = self.chance.choices([move for move, _ in moves], [weight for _, weight in moves])
            with self.connection.transaction():
                move()
            calls += 1
        return calls

    def start(self) -> None:
        # Few runs, many sessions: they shall meet.
        if value(self.connection, "select count(*) from pgflow.runs where status = 'started'") < 2 * SESSIONS:
            start(self.connection, list(range(self.chance.randrange(6))), self.any_flow())

    def fetch(self) -> None:
        self.hand += fetch(self.connection, self.any_flow(), self.chance.randrange(1, 12))

    def read_and_start(self) -> None:
        flow = self.any_flow()
        message_ids = read(self.connection, flow, self.chance.randrange(1, 12), visibility=0)
        self.chance.shuffle(message_ids)
        self.hand += start_tasks(self.connection, message_ids, flow=flow, worker=register(self.connection, flow=flow))

    def complete(self) -> None:
        complete_batch(self.connection, *(self.report(found, self.any_output()) for found in self.some_tasks()))

    def exchange(self) -> None:
        self.complete()
        self.fetch()

    def fail(self) -> None:
        fail_batch(self.connection, *(self.report(found, "boom") for found in self.some_tasks()))

    def recover(self) -> None:
        set_clock(self.connection, value(self.connection, "select (now() + interval '5 minutes')::text"))
        self.connection.execute("select pgflow.requeue_stalled_tasks()")

    def any_flow(self) -> str:
        return self.chance.choice(FLOWS)

    def any_output(self) -> object:
        return self.chance.choice([[], [1], [1, 2, 3], [1, 2, 3], [1, 2, 3], "no array"])

    def some_tasks(self) -> list[Row]:
        """Take some tasks out of the hand; one in ten stays there, to be reported once more."""
        chosen = self.chance.sample(self.hand, min(len(self.hand), self.chance.randrange(1, 10)))
        self.hand = [found for found in self.hand if found not in chosen or self.chance.random() < 0.1]
        return chosen

    def report(self, found: Row, result: object) -> Report:
        return (found["run_id"], found["step_slug"], found["task_index"], result, found.get("attempt"))


def define_flows(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < b", flow="chain", base_delay=0)
    define(connection, "a*", "b* < a", "c < b", "d* < a", "e < c d", flow="maps", base_delay=0)
    define(connection, "z*", "a", "b", "c < a b z", flow="failing", max_attempts=1)
    skipping = step("a*", when_exhausted="skip")
    cascading = step("b", when_exhausted="skip-cascade")
    unmet = step("d < a", required_input_pattern={"a": [2]}, when_unmet="skip-cascade")
    define(connection, skipping, cascading, "c < b", unmet, "e < c d", "f* < a", flow="skipping", max_attempts=1)
    failing = step("c < b", forbidden_input_pattern={"b": [[]]}, when_unmet="fail")
    define(connection, "a", "b* < a", failing, "d*", flow="typed", base_delay=0)


@pytest.fixture
def players(database_url: str) -> Iterator[list[Player]]:
    """The sessions, each with its own chance, which is the same in every test run."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(database_url, autocommit=True)) for _ in range(SESSIONS)]
        yield [Player(connection, random.Random(seed)) for seed, connection in enumerate(connections)]


@pytest.mark.slow
def test_random_calls_of_many_sessions_never_end_in_a_deadlock(players: list[Player]) -> None:
    observer = players[0].connection
    define_flows(observer)
    deadline = time.monotonic() + SECONDS
    with ThreadPoolExecutor(SESSIONS) as threads:
        calls = [threads.submit(player.play, deadline) for player in players]
    assert all(call.result() > 0 for call in calls)
    ended = rows(observer, "select distinct flow_slug, status from pgflow.runs where status <> 'started'")
    assert {"completed", "failed"} == {found["status"] for found in ended}
    assert {found["flow_slug"] for found in ended} == set(FLOWS)
