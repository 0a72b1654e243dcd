"""The report of the benchmarks: figures, ratios, tables, and the page that embeds them. No timings are tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.publish import embed
from bench.ratios import Ratio, ratios
from bench.report import report
from bench.results import Results, percentile

ROOT = Path(__file__).parent.parent.parent


def record(workload: str, peer: str, seconds: float, **values: Any) -> dict[str, Any]:
    """A drain of a thousand jobs."""
    return {
        "workload": workload,
        "peer": peer,
        "durability": "on",
        "repetition": 1,
        "units": 1000,
        "enqueue_seconds": 0.5,
        "seconds": seconds,
        "total_seconds": seconds,
        "finished": True,
        "handled": 1000,
        "handlers_per_second": 1000 / seconds,
        "peak_megabytes": 50.0,
        **values,
    }


def latency(peer: str, milliseconds: float) -> dict[str, Any]:
    samples = [milliseconds * (1 + number / 100) for number in range(100)]
    return {
        "workload": "D",
        "peer": peer,
        "durability": "on",
        "repetition": 1,
        "to_handler": samples,
        "to_result": samples,
    }


def recorded(*records: dict[str, Any]) -> Results:
    return Results(
        {
            "date": "2026-01-01",
            "quick": False,
            "machine": {"processors": 2, "model": "x", "memory_gigabytes": 8.0, "system": "Linux 6", "python": "3.11"},
            "server": {"version": "18.0", "settings": {"max_connections": "200"}},
            "sizes": {
                "jobs": 1000,
                "maps": [100, 1000],
                "processes": [2, 4],
                "finished_tasks": 5000,
                "delayed_messages": 100,
                "pinned_seconds": 60,
                "memory_jobs": 5000,
                "memory_megabytes": 10,
                "limit_seconds": 60,
                "once_beyond_seconds": 30,
                "repetitions": 3,
            },
            "peers": {
                name: {"versions": {name: "1.0"}, "settings": "as they are"}
                for name in ("pgflow", "pgqueuer", "reference", "absurd")
            },
            "records": list(records),
        }
    )


def ratio_of(results: Results, workload: str, against: str) -> Ratio:
    [found] = [each for each in ratios(results) if each.workload == workload and against in each.against]
    return found


def row(text: str, first: str) -> list[str]:
    """The cells of the first row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_percentile_is_a_sample() -> None:
    samples = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert [percentile(samples, percent) for percent in (0, 1, 20, 50, 99, 100)] == [1, 1, 1, 3, 5, 5]
    assert percentile([7.0], 50) == 7


def test_the_fastest_peer_is_to_be_matched_and_the_others_to_be_left_behind() -> None:
    results = recorded(record("A", "pgflow", 0.2), record("A", "pgqueuer", 0.3), record("A", "reference", 2))
    fastest = ratio_of(results, "A drain", "pgqueuer")
    assert (fastest.needed, round(fastest.value or 0, 2), fastest.is_reached) == (1, 1.5, True)
    assert "fastest" in fastest.against
    other = ratio_of(results, "A drain", "reference")
    assert (other.needed, round(other.value or 0, 2), other.is_reached) == (5, 10, True)


def test_a_ratio_is_that_of_the_medians() -> None:
    ours = [record("A", "pgflow", seconds) for seconds in (9, 1, 2)]
    results = recorded(*ours, record("A", "pgqueuer", 1))
    assert ratio_of(results, "A drain", "pgqueuer").value == 0.5


def test_a_peer_that_did_not_finish_gives_a_bound() -> None:
    unfinished = record("C 1000", "reference", 60, finished=False, handled=500)
    results = recorded(record("C 1000", "pgflow", 0.5), unfinished)
    found = ratio_of(results, "C 1000", "reference")
    assert (found.value, found.is_bound, found.is_reached) == (120, True, True)
    assert "> 60 ✂ (500 done)" in report(results)


def test_a_drain_under_strain_is_compared_with_those_of_plain_jobs_at_the_same_time() -> None:
    results = recorded(record("A", "pgflow", 1), record("G", "pgflow", 4), record("A beside G", "pgflow", 3))
    found = ratio_of(results, "G drain", "its own A, in turns")
    assert (found.needed, found.value, found.is_reached) == (0.7, 0.75, True)


def test_latency_is_compared_with_the_peer_of_the_lowest_median_and_with_a_commit() -> None:
    limits = {"workload": "limits", "peer": "limits", "durability": "on", "repetition": 1, "commit_milliseconds": 1.0}
    results = recorded(latency("pgflow", 4), latency("pgqueuer", 10), latency("absurd", 20), limits)
    found = ratio_of(results, "D start to result, p50", "pgqueuer")
    assert (found.value, found.is_reached) == (pytest.approx(0.4), True)
    assert ratio_of(results, "D start to result, p50", "commit").value == pytest.approx(4 * 1.49)


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    results = recorded(record("A", "pgflow", 1))
    assert {each.is_reached for each in ratios(results)} == {None}
    assert "| – |" in report(results)  # noqa: RUF001


def test_tables_show_the_median_and_the_spread_of_all_who_took_part() -> None:
    ours = [record("A", "pgflow", seconds) for seconds in (1, 2, 4)]
    others = [record("A", "pgqueuer", 1), record("A", "absurd", 1, error="broken"), record("memory jobs", "pgflow", 9)]
    text = report(recorded(*ours, *others))
    assert row(text, "**pgflow**")[1:3] == ["2,000", "500 (250 to 1,000)"]
    assert row(text, "absurd")[2] == "failed"
    assert row(text, "10 jobs with an input of 1 MB each")[1] == "–"  # noqa: RUF001


def test_the_second_table_appears_when_it_was_measured() -> None:
    assert "synchronous_commit = off" not in report(recorded(record("A", "pgflow", 1)))
    assert "synchronous_commit = off" in report(recorded(record("A", "pgflow", 1, durability="off")))


def test_what_nobody_measured_has_no_section() -> None:
    sections = [line for line in report(recorded(record("G", "pgflow", 1))).splitlines() if line.startswith("## ")]
    assert sections == ["## What was to be reached", "## Default durability", "## Under strain", "## Settings"]


def test_results_survive_a_file(tmp_path: Path) -> None:
    results = recorded(record("A", "pgflow", 1), latency("pgflow", 3))
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_a_page_keeps_what_stands_around_the_marks() -> None:
    page = "before\n<!-- begin: measured -->\nold\n<!-- end: measured -->\nafter\n"
    first, second = recorded(record("A", "pgflow", 1)), recorded(record("A", "pgflow", 2))
    once = embed(page, first)
    assert once.startswith("before\n<!-- begin")
    assert once.endswith("<!-- end: measured -->\nafter\n")
    assert report(first) in once
    assert embed(embed(page, second), first) == once


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="begin: measured"):
        embed("nothing", recorded())


def test_the_published_page_says_what_was_recorded() -> None:
    records = ROOT / "docs" / "performance.json"
    if not records.exists():
        pytest.skip("nothing is published yet")
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert embed(page, Results.read(records)) == page
