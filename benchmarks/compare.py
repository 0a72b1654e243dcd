"""Measures pgflow and its peers on one server in one run, and writes a report, the records, and a plot.

Usage: make bench, or make bench ARGS="--quick --only A,D --peers pgflow,procrastinate"
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.environments import PEERS, ROOT, Environments, Program
from bench.plot import draw
from bench.publish import publish
from bench.report import report
from bench.results import Results
from bench.runner import Record, Runner
from bench.servers import Postgres, installed, postgres, redis
from bench.workloads import FULL, QUICK, TITLES, Sizes, with_repetitions

WITHOUT_DURABILITY = ("A", "B")
"""Workloads of the second table."""


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers are stopped, too
    sizes = with_repetitions(QUICK if options.quick else FULL, options.repetitions)
    options.folder.mkdir(parents=True, exist_ok=True)
    servers = installed()
    if options.server and options.server not in servers:
        sys.exit(f"no server {options.server!r}; there are: {', '.join(servers) or 'none'}")
    with postgres(servers[options.server or next(iter(servers))]) as server, redis() as redis_url:
        programs = _programs(options, redis_url)
        records: list[Record] = []
        results = _results(options, sizes, server, programs, records)
        try:
            _measure(Runner(server, redis_url, programs, sizes, "on", records), options.only)
        finally:
            results.write(options.folder / "results.json")
    text = report(results)
    (options.folder / "report.md").write_text(text, encoding="utf-8")
    draw(results, options.folder / "performance.svg")
    if options.publish:
        publish(results, ROOT / "docs")
        draw(results, ROOT / "docs" / "performance.svg")
    print(text)


def _measure(runner: Runner, names: list[str]) -> None:
    """Run all workloads, and some once more without waiting for the disk."""
    runner.run(names)
    asynchronous = [name for name in names if name in WITHOUT_DURABILITY]
    once = replace(runner.sizes, repetitions=1)
    replace(runner, durability="off", sizes=once).run(asynchronous)


def _programs(options: argparse.Namespace, redis_url: str | None) -> list[Program]:
    environments = Environments(options.folder)
    log = options.folder / "log.txt"
    log.unlink(missing_ok=True)
    names = [name for name in options.peers if redis_url or not PEERS[name].uses_redis]
    for missing in set(options.peers) - set(names):
        print(f"{missing} is left out: install Redis to measure it", file=sys.stderr)
    return [Program(PEERS[name], environments, log) for name in names]


def _results(
    options: argparse.Namespace, sizes: Sizes, server: Postgres, programs: list[Program], records: list[Record]
) -> Results:
    return Results(
        {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "quick": options.quick,
            "machine": _machine(),
            "server": {"version": server.version(), "settings": server.settings},
            "sizes": asdict(sizes),
            "peers": {program.peer.name: program.description for program in programs},
            "records": records,
        }
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_choice(TITLES), default=list(TITLES), help=f"some of {','.join(TITLES)}")
    parser.add_argument("--peers", type=_choice(PEERS), default=list(PEERS), help=f"some of {','.join(PEERS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether everything works")
    parser.add_argument("--repetitions", type=int, help=f"how often each workload runs (default {FULL.repetitions})")
    parser.add_argument("--server", help="which of the installed servers, for example debian-15 or wheel-18")
    parser.add_argument("--publish", action="store_true", help="write the tables and the plot into docs/")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="for environments and results")
    return parser.parse_args()


def _choice(known: Iterable[str]) -> Any:
    def choose(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return [name for name in known if name in chosen]

    return choose


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processors": os.cpu_count(),
        "model": _processor(),
        "memory_gigabytes": memory,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
