"""Runs the workloads: peers take turns, every drain gets a fresh database, what comes out is a list of records."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.environments import Program
from bench.history import add_finished, delay_all
from bench.limits import measure_limits
from bench.measures import count_statements, read_costs
from bench.servers import Postgres
from bench.workloads import OURS, Sizes, beside

Record = dict[str, Any]

_FAILURES = (RuntimeError, psycopg.Error, subprocess.SubprocessError)
_SETTLE_SECONDS = 5
_PGBENCH_SECONDS = 5


@dataclass
class Runner:
    """Runs the workloads of one level of durability: `synchronous_commit` on or off."""

    server: Postgres
    redis_url: str | None
    programs: Sequence[Program]
    sizes: Sizes
    durability: str
    records: list[Record]

    def run(self, names: Sequence[str]) -> None:
        """Run the workloads of these names, in the order of :data:`bench.workloads.TITLES`."""
        self._prepare_templates()
        methods: dict[str, Callable[[], None]] = {
            "A": self._jobs,
            "B": self._chains,
            "C": self._maps,
            "D": self._latency,
            "E": self._large_tables,
            "F": self._processes,
            "G": self._pinned_horizon,
            "costs": self._costs,
            "idle": self._idle,
            "memory": self._memory,
            "limits": self._limits,
        }
        for name, method in methods.items():
            if name in names:
                try:
                    method()
                except _FAILURES as error:
                    self._add(name, "all", 0, {"error": str(error)})

    def _jobs(self) -> None:
        for repetition, program in self._turns("A", self.programs):
            self._drained("A", program, repetition, "jobs", self.sizes.jobs)

    def _chains(self) -> None:
        for repetition, program in self._turns("B", self._able("chains")):
            self._drained("B", program, repetition, "chains", self.sizes.chains)

    def _maps(self) -> None:
        for size in self.sizes.maps:
            for repetition, program in self._turns(f"C {size}", self._able("map")):
                self._drained(f"C {size}", program, repetition, "map", size)

    def _latency(self) -> None:
        for program in self.programs:
            with self._database(program) as url:
                options = {"samples": self.sizes.latency_samples, "limit": self.sizes.limit_seconds}
                self._record("D", program, 1, partial(program.run, "latency", url=url, **options))

    def _large_tables(self) -> None:
        for program in self._ours():
            with self._database(program) as url:
                add_finished(self.server, self._name(program), self.sizes.finished_tasks)
                for repetition in range(1, self.sizes.repetitions + 1):
                    self._drained_alone("E finished", program, repetition)
                    self._drained("E finished", program, repetition, "jobs", self.sizes.jobs, url=url)
            with self._database(program) as url:
                program.run("enqueue", url=url, kind="jobs", count=self.sizes.delayed_messages)
                delay_all(self.server, self._name(program))
                leave = self.sizes.delayed_messages
                for repetition in range(1, self.sizes.repetitions + 1):
                    self._drained_alone("E delayed", program, repetition)
                    self._drained("E delayed", program, repetition, "jobs", self.sizes.jobs, url=url, leave=leave)

    def _processes(self) -> None:
        for count in self.sizes.processes:
            for repetition, program in self._turns(f"F {count}", self._contenders()):
                self._drained_alone(f"F {count}", program, repetition)
                self._drained(f"F {count}", program, repetition, "jobs", self.sizes.jobs, processes=count)

    def _pinned_horizon(self) -> None:
        """Measure after some work beside an open transaction, whose snapshot keeps dead rows from being removed."""
        for program in self._contenders():
            with self._database(program) as url, self.server.superuser(self._name(program)) as connection:
                connection.execute("begin isolation level repeatable read")
                connection.execute("select pg_current_xact_id()")
                ends = time.monotonic() + self.sizes.pinned_seconds
                while time.monotonic() < ends:
                    self._drain(program, url, "jobs", self.sizes.jobs)
                for repetition in range(1, self.sizes.repetitions + 1):
                    self._drained_alone("G", program, repetition)
                    self._drained("G", program, repetition, "jobs", self.sizes.jobs, url=url)

    def _costs(self) -> None:
        """Count what the server does for a job, in a drain of its own: counting takes time."""
        for program in self._in_database():
            with self._database(program) as url:
                if self.server.counts_statements:
                    self.server.set_parameter(self._name(program), "pg_stat_statements.track", "top")
                self._record("costs", program, 1, partial(self._costed, program, url))

    def _costed(self, program: Program, url: str) -> Record:
        jobs = self.sizes.costed_jobs
        program.run("enqueue", url=url, kind="jobs", count=jobs)
        before = read_costs(self.server, self._name(program))
        program.run("drain", url=url, kind="jobs", count=jobs, processes=1, limit=self.sizes.limit_seconds)
        costs = read_costs(self.server, self._name(program)).since(before)
        return {
            "units": jobs,
            "transactions_per_unit": costs.transactions / jobs,
            "statements_per_unit": None if costs.statements is None else costs.statements / jobs,
            "wal_bytes_per_unit": costs.wal_bytes / jobs,
            "hot_ratio": costs.hot_updates / costs.updates if costs.updates else None,
        }

    def _idle(self) -> None:
        """Watch all idle workers at the same time, each in its database."""
        if not self.server.counts_statements:
            return
        threads = [threading.Thread(target=self._idle_one, args=(program,)) for program in self._in_database()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _idle_one(self, program: Program) -> None:
        with self._database(program) as url:
            self.server.set_parameter(self._name(program), "pg_stat_statements.track", "top")
            self._record("idle", program, 1, partial(self._idle_statements, program, url))

    def _idle_statements(self, program: Program, url: str) -> Record:
        process = program.start("idle", url=url, settle_seconds=_SETTLE_SECONDS)
        assert process.stdout is not None
        if process.stdout.readline().strip() != "settled":
            raise RuntimeError(f"the idle worker of {program.peer.name} has ended")
        with self.server.superuser() as connection:
            before = count_statements(self.server, connection, self._name(program)) or 0
            time.sleep(self.sizes.idle_seconds)
            after = count_statements(self.server, connection, self._name(program)) or 0
        process.communicate("\n")
        return {"statements_per_ten_seconds": (after - before) / self.sizes.idle_seconds * 10}

    def _memory(self) -> None:
        for program in self._ours():
            limit = self.sizes.limit_seconds * 5
            self._drained("memory jobs", program, 1, "jobs", self.sizes.memory_jobs, limit=limit)
            self._drained("memory megabytes", program, 1, "megabytes", self.sizes.memory_megabytes, limit=limit)

    def _limits(self) -> None:
        measured = measure_limits(self.server, self.sizes.jobs, _PGBENCH_SECONDS)
        self._add("limits", "limits", 1, measured)

    def _drained_alone(self, workload: str, program: Program, repetition: int) -> None:
        """Drain as in A right before a workload that is compared with it: a machine isn't always equally fast."""
        if program.peer.name == OURS:
            with self._database(program, f"alone_{OURS}") as url:
                self._drained(beside(workload), program, repetition, "jobs", self.sizes.jobs, url=url)

    def _drained(
        self,
        workload: str,
        program: Program,
        repetition: int,
        kind: str,
        count: int,
        url: str | None = None,
        **options: Any,
    ) -> None:
        """Enqueue and drain, in the database of `url` or in a fresh one, and record it."""
        if url is not None:
            self._record(workload, program, repetition, partial(self._drain, program, url, kind, count, **options))
            return
        with self._database(program) as fresh:
            self._record(workload, program, repetition, partial(self._drain, program, fresh, kind, count, **options))

    def _drain(self, program: Program, url: str, kind: str, count: int, **options: Any) -> Record:
        self.server.checkpoint()
        enqueued = program.run("enqueue", url=url, kind=kind, count=count)
        if not program.peer.uses_redis:
            self.server.analyze(str(conninfo_to_dict(url)["dbname"]))
        given = {"processes": 1, "limit": self.sizes.limit_seconds, **options}
        drained = program.run("drain", url=url, kind=kind, count=count, **given)
        per_second = drained["handled"] / drained["seconds"]
        return {
            "units": count,
            "enqueue_seconds": enqueued["seconds"],
            **drained,
            "total_seconds": enqueued["seconds"] + drained["seconds"],
            "handlers_per_second": per_second,
        }

    def _record(self, workload: str, program: Program, repetition: int, measure: Callable[[], Record]) -> None:
        try:
            values = measure()
        except _FAILURES as error:
            values = {"error": str(error)}
        self._add(workload, program.peer.name, repetition, values)

    def _add(self, workload: str, peer: str, repetition: int, values: Record) -> None:
        record = {"workload": workload, "peer": peer, "durability": self.durability, "repetition": repetition, **values}
        self.records.append(record)
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        print(f"{self.durability:3} {workload:16} {peer:13} {repetition}: {shown}", file=sys.stderr, flush=True)

    def _turns(self, workload: str, programs: Sequence[Program]) -> Iterator[tuple[int, Program]]:
        """Give peers in turn, each time beginning with another one; who took very long isn't asked again."""
        for repetition in range(self.sizes.repetitions):
            first = repetition % len(programs) if programs else 0
            for program in [*programs[first:], *programs[:first]]:
                if not self._took_long(workload, program):
                    yield repetition + 1, program

    def _took_long(self, workload: str, program: Program) -> bool:
        key = (workload, program.peer.name, self.durability)
        return any(
            (record["workload"], record["peer"], record["durability"]) == key
            and record.get("total_seconds", 0) > self.sizes.once_beyond_seconds
            for record in self.records
        )

    def _able(self, kind: str) -> list[Program]:
        return [program for program in self.programs if kind in program.kinds]

    def _in_database(self) -> list[Program]:
        return [program for program in self.programs if not program.peer.uses_redis]

    def _ours(self) -> list[Program]:
        return [program for program in self.programs if program.peer.name == OURS]

    def _contenders(self) -> list[Program]:
        """Return this project and the peer that was the fastest in A, if that was measured."""
        rates = {
            record["peer"]: record["handlers_per_second"]
            for record in self.records
            if record["workload"] == "A" and record["peer"] != OURS and "error" not in record
        }
        fastest = max(rates, key=lambda name: rates[name], default=OURS)
        return [program for program in self.programs if program.peer.name in (OURS, fastest)]

    def _prepare_templates(self) -> None:
        for program in self._in_database():
            program.run("prepare", url=self.server.create_database(f"template_{program.peer.name}"))

    @contextmanager
    def _database(self, program: Program, name: str | None = None) -> Iterator[str]:
        if program.peer.uses_redis:
            assert self.redis_url is not None
            program.run("prepare", url=self.redis_url)
            yield self.redis_url
            return
        name = name or self._name(program)
        url = self.server.create_database(name, template=f"template_{program.peer.name}")
        try:
            if self.durability == "off":
                self.server.set_parameter(name, "synchronous_commit", "off")
            yield url
        finally:
            self.server.drop_database(name)

    @staticmethod
    def _name(program: Program) -> str:
        return f"run_{program.peer.name}"


def _shown(value: Any) -> Any:
    middle = statistics.median(value) if isinstance(value, list) and value else value
    return f"{middle:.4g}" if isinstance(middle, float) else middle
