"""The picture beside the tables: throughput and latency of all peers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.results import Results, Spread
from bench.workloads import OURS

_OURS_COLOUR, _COLOUR = "#1f6feb", "#9aa4b2"
_FRACTIONS_BELOW = 20


def draw(results: Results, path: Path) -> None:
    """Draw how many jobs and steps a second and how many milliseconds everybody needs."""
    pyplot.rcParams["svg.hashsalt"] = "pgflow"
    figure, (jobs, steps, latency) = pyplot.subplots(1, 3, figsize=(12, 3.8), constrained_layout=True)
    _bars(jobs, _rates(results, "A"), "A: jobs per second, one worker process")
    _bars(steps, _rates(results, "B"), "B: steps per second of three-step chains")
    _bars(latency, _latencies(results), "D: start to result, ms, p50 to p99")
    latency.set_xscale("log")
    latency.set_xlim(left=1)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _rates(results: Results, workload: str) -> Mapping[str, Spread]:
    return {name: spread for name in results.peers if (spread := results.spread(workload, name, "handlers_per_second"))}


def _latencies(results: Results) -> Mapping[str, Spread]:
    found = {}
    for name in results.peers:
        p50, p99 = (results.percentile(name, "to_result", percent) for percent in (50, 99))
        if p50 is not None and p99 is not None:
            found[name] = Spread(p50, p50, p99)
    return found


def _bars(axes: Axes, spreads: Mapping[str, Spread], title: str) -> None:
    names = list(spreads)[::-1]
    values = [spreads[name].median for name in names]
    below = [spreads[name].median - spreads[name].smallest for name in names]
    above = [spreads[name].largest - spreads[name].median for name in names]
    colours = [_OURS_COLOUR if name == OURS else _COLOUR for name in names]
    axes.barh(names, values, xerr=[below, above], color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    for position, name in enumerate(names):
        place = (spreads[name].largest, position)
        value = values[position]
        text = f"{value:,.0f}" if value >= _FRACTIONS_BELOW else f"{value:.1f}"
        axes.annotate(text, place, (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
