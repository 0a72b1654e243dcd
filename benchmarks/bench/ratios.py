"""What has to hold, as ratios between figures of one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results
from bench.workloads import OURS, beside


@dataclass(frozen=True, slots=True)
class Ratio:
    """One requirement: `value` must be at least, or at most, `needed`; `value` is None where something is missing."""

    workload: str
    against: str
    value: float | None
    needed: float
    at_most: bool = False
    is_bound: bool = False
    """The true value is at least this one, since the other didn't finish."""

    @property
    def is_reached(self) -> bool | None:
        """Whether it holds; None where that is unknown."""
        if self.value is None:
            return None
        return self.value <= self.needed if self.at_most else self.value >= self.needed


def ratios(results: Results) -> Iterator[Ratio]:
    """Compute every requirement that the recorded workloads allow."""
    yield from _drain_of_jobs(results)
    yield from _chains(results)
    yield from _maps(results)
    yield from _latencies(results)
    yield from _own_drains(results)


def _drain_of_jobs(results: Results) -> Iterator[Ratio]:
    ours = _rate(results, "A", OURS)
    rates = {name: rate for name in results.others if (rate := _rate(results, "A", name))}
    for place, name in enumerate(sorted(rates, key=lambda name: -rates[name])):
        against = f"{name}, the fastest peer" if place == 0 else name
        yield Ratio("A drain", against, _divided(ours, rates[name]), 1 if place == 0 else 5)


def _chains(results: Results) -> Iterator[Ratio]:
    for name in ("dbos", "absurd", "reference"):
        if name in results.peers:
            value = _divided(_rate(results, "B", OURS), _rate(results, "B", name))
            yield Ratio("B steps/s", name, value, 10)


def _maps(results: Results) -> Iterator[Ratio]:
    small, large = (f"C {size}" for size in (min(results.sizes["maps"]), max(results.sizes["maps"])))
    if "reference" in results.peers:
        theirs = results.spread(large, "reference", "total_seconds")
        value = _divided(theirs.median if theirs else None, results.median(large, OURS, "total_seconds"))
        yield Ratio(large, "reference", value, 15, is_bound=bool(theirs and theirs.is_bound))
    growth = _divided(results.median(large, OURS, "total_seconds"), results.median(small, OURS, "total_seconds"))
    yield Ratio(f"time of {large}", f"time of {small}", growth, 11, at_most=True)


def _latencies(results: Results) -> Iterator[Ratio]:
    medians = {name: p50 for name in results.others if (p50 := results.percentile(name, "to_result", 50))}
    if medians:
        fastest = min(medians, key=lambda name: medians[name])
        for percent in (50, 99):
            ours = results.percentile(OURS, "to_result", percent)
            value = _divided(ours, results.percentile(fastest, "to_result", percent))
            yield Ratio(f"D start to result, p{percent}", f"{fastest}, the fastest peer", value, 0.8, at_most=True)
    commit = results.median("limits", "limits", "commit_milliseconds")
    value = _divided(results.percentile(OURS, "to_result", 50), commit)
    yield Ratio("D start to result, p50", "a trivial commit", value, 8, at_most=True)


def _own_drains(results: Results) -> Iterator[Ratio]:
    for workload, name, needed in (
        ("E finished", "E finished: drain", 0.9),
        ("E delayed", "E delayed: drain", 0.9),
        *((f"F {count}", f"F drain by {count} processes", 1) for count in results.sizes["processes"]),
        ("G", "G drain", 0.7),
    ):
        value = _divided(_rate(results, workload, OURS), _rate(results, beside(workload), OURS))
        yield Ratio(name, "its own A, in turns", value, needed)


def _rate(results: Results, workload: str, peer: str) -> float | None:
    return results.median(workload, peer, "handlers_per_second")


def _divided(dividend: float | None, divisor: float | None) -> float | None:
    return None if dividend is None or not divisor else dividend / divisor
