"""What the runner has recorded, and figures drawn from it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.workloads import OURS


@dataclass(frozen=True, slots=True)
class Spread:
    """The smallest, middle and largest of the repetitions; `is_bound` where one wasn't finished in time."""

    smallest: float
    median: float
    largest: float
    is_bound: bool = False

    @classmethod
    def of(cls, values: Iterable[float], *, is_bound: bool = False) -> Spread | None:
        """Return the spread of some values, None without any."""
        ordered = sorted(values)
        return cls(ordered[0], statistics.median(ordered), ordered[-1], is_bound) if ordered else None


@dataclass(frozen=True, slots=True)
class Results:
    """All records, who took part and where."""

    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what :func:`write` has written."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")

    @property
    def peers(self) -> Mapping[str, Mapping[str, Any]]:
        """Versions and settings by name, in the order of the tables."""
        peers: Mapping[str, Mapping[str, Any]] = self.document["peers"]
        return peers

    @property
    def others(self) -> list[str]:
        """Everybody but this project."""
        return [name for name in self.peers if name != OURS]

    @property
    def sizes(self) -> Mapping[str, Any]:
        """How much of everything was measured."""
        sizes: Mapping[str, Any] = self.document["sizes"]
        return sizes

    def records(self, workload: str, peer: str, durability: str = "on") -> list[Mapping[str, Any]]:
        """Return the records of a workload and a peer, in their order, failed ones too."""
        wanted = (workload, peer, durability)
        return [
            record
            for record in self.document["records"]
            if (record["workload"], record["peer"], record["durability"]) == wanted
        ]

    def spread(self, workload: str, peer: str, field: str, durability: str = "on") -> Spread | None:
        """Return the spread of a figure over the repetitions."""
        records = [record for record in self.records(workload, peer, durability) if record.get(field) is not None]
        is_bound = any(record.get("finished") is False for record in records)
        return Spread.of((float(record[field]) for record in records), is_bound=is_bound)

    def median(self, workload: str, peer: str, field: str, durability: str = "on") -> float | None:
        """Return the middle of a figure over the repetitions."""
        spread = self.spread(workload, peer, field, durability)
        return spread.median if spread else None

    def percentile(self, peer: str, field: str, percent: float, durability: str = "on") -> float | None:
        """Return a percentile of the latencies of a peer, in milliseconds."""
        samples = [value for record in self.records("D", peer, durability) for value in record.get(field, ())]
        return percentile(samples, percent) if samples else None


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` of all don't exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
