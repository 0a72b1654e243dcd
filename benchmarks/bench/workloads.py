"""What is measured: sizes, limits, and who takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

OURS: Final = "pgflow"

TITLES: Final[Mapping[str, str]] = {
    "A": "one-step jobs, drained by one worker process",
    "B": "runs of a three-step chain",
    "C": "one run: a map and a reduce",
    "D": "latency on an idle system",
    "E": "A with a million finished tasks, and with delayed messages waiting",
    "F": "A with several worker processes",
    "G": "A while another session holds a transaction open",
    "costs": "what a job costs the server",
    "idle": "statements of an idle worker",
    "memory": "memory of the worker",
    "limits": "what the server could do at best",
}


def beside(workload: str) -> str:
    """Return the name of the drains of A that are measured in turns with another workload."""
    return f"A beside {workload}"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; times in seconds."""

    jobs: int = 10_000
    chains: int = 1_000
    maps: tuple[int, ...] = (1_000, 10_000)
    latency_samples: int = 200
    finished_tasks: int = 1_000_000
    delayed_messages: int = 100_000
    processes: tuple[int, ...] = (2, 4)
    pinned_seconds: float = 60
    costed_jobs: int = 2_000
    idle_seconds: float = 20
    memory_jobs: int = 100_000
    memory_megabytes: int = 1_000
    limit_seconds: float = 60
    once_beyond_seconds: float = 20
    repetitions: int = 3


FULL: Final = Sizes()
QUICK: Final = Sizes(
    jobs=500,
    chains=50,
    maps=(50, 500),
    latency_samples=20,
    finished_tasks=5_000,
    delayed_messages=1_000,
    pinned_seconds=3,
    costed_jobs=500,
    idle_seconds=5,
    memory_jobs=2_000,
    memory_megabytes=20,
    limit_seconds=30,
    repetitions=1,
)


def with_repetitions(sizes: Sizes, repetitions: int | None) -> Sizes:
    """Return the sizes with another number of repetitions, where one is given."""
    return sizes if repetitions is None else replace(sizes, repetitions=repetitions)
