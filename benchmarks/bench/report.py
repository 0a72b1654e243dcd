"""The tables of the report, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.ratios import Ratio, ratios
from bench.results import Results, Spread
from bench.workloads import OURS

NOTHING = "–"  # noqa: RUF001 - a dash for people


def report(results: Results) -> str:
    """Return everything that was measured, as sections of Markdown."""
    return "\n\n".join(section.strip() for section in _sections(results)) + "\n"


def _sections(results: Results) -> Iterator[str]:
    yield _conditions(results)
    yield "## What was to be reached\n\n" + _ratios(results)
    for durability, title in (("on", "Default durability"), ("off", "With `synchronous_commit = off`, once")):
        if any(record["durability"] == durability for record in results.document["records"]):
            yield f"## {title}\n\n" + _throughput(results, durability)
            if any(results.records("D", name, durability) for name in results.peers):
                yield f"### Latency, {title[0].lower()}{title[1:]}\n\n" + _latency(results, durability)
    for title, workloads, table in (
        ("Under strain", ("E finished", "E delayed", "G"), _strain),
        ("What a job costs the server", ("costs", "idle"), _costs),
        ("Limits of the server", ("limits",), _limits),
        ("Memory of the worker", ("memory jobs", "memory megabytes"), _memory),
    ):
        if any(record["workload"] in workloads for record in results.document["records"]):
            yield f"## {title}\n\n" + table(results)
    yield "## Settings\n\n" + _settings(results)


def _conditions(results: Results) -> str:
    document = results.document
    machine, server, sizes = document["machine"], document["server"], results.sizes
    settings = ", ".join(f"`{name} = {value}`" for name, value in server["settings"].items() if value)
    lines = [
        f"Measured {document['date']} on {machine['processors']} processors ({machine['model']}), "
        f"{machine['memory_gigabytes']:.0f} GB of memory, {machine['system']}, Python {machine['python']}. "
        f"PostgreSQL {server['version']} on a fresh cluster with default durability and {settings}; server and workers "
        f"share the machine. Peers take turns, {sizes['repetitions']} times, but nobody repeats what took more than "
        f"{sizes['once_beyond_seconds']:g} s. Figures are the median, with the smallest and largest in parentheses. "
        f"✂ is not finished in {sizes['limit_seconds']:g} s.",
    ]
    if document.get("quick"):
        lines.insert(0, "**A quick run with small sizes, to try the programs: the figures mean nothing.**")
    return "\n\n".join(lines)


def _ratios(results: Results) -> str:
    rows = [[each.workload, each.against, _needed(each), _reached(each), _verdict(each)] for each in ratios(results)]
    return _table(["Workload", "Against", "Needed", "Ratio", "Reached"], rows)


def _needed(ratio: Ratio) -> str:
    return f"{'≤' if ratio.at_most else '≥'} {ratio.needed:g}"


def _reached(ratio: Ratio) -> str:
    if ratio.value is None:
        return NOTHING
    return f"{'> ' if ratio.is_bound else ''}{ratio.value:.2f}"


def _verdict(ratio: Ratio) -> str:
    return {True: "yes", False: "**no**", None: NOTHING}[ratio.is_reached]


def _throughput(results: Results, durability: str) -> str:
    columns = {
        "A": "A drain, jobs/s",
        "B": "B drain, steps/s",
        **{f"C {size}": f"C {size:,}, s" for size in results.sizes["maps"]},
        **{f"F {count}": f"F {count} processes, jobs/s" for count in results.sizes["processes"]},
    }
    columns = {workload: title for workload, title in columns.items() if _any(results, workload, durability)}
    rows = []
    for name in results.peers:
        cells = [_throughput_cell(results, workload, name, durability) for workload in columns]
        rows.append([_bold(name), _enqueued(results, name, durability), *cells])
    return _table(["", "A enqueue, jobs/s", *columns.values()], rows)


def _throughput_cell(results: Results, workload: str, peer: str, durability: str) -> str:
    cell = _seconds_cell if workload.startswith("C") else _rate_cell
    return cell(results, workload, peer, durability)


def _bold(name: str) -> str:
    return f"**{name}**" if name == OURS else name


def _any(results: Results, workload: str, durability: str) -> bool:
    return any(results.records(workload, name, durability) for name in results.peers)


def _enqueued(results: Results, peer: str, durability: str) -> str:
    records = results.records("A", peer, durability)
    rates = (record["units"] / record["enqueue_seconds"] for record in records if record.get("enqueue_seconds"))
    return _cell(Spread.of(rates))


def _rate_cell(results: Results, workload: str, peer: str, durability: str = "on") -> str:
    spread = results.spread(workload, peer, "handlers_per_second", durability)
    failed = _failure(results, workload, peer, durability)
    return failed or _cell(spread) + (" ✂" if spread and spread.is_bound else "")


def _seconds_cell(results: Results, workload: str, peer: str, durability: str) -> str:
    spread = results.spread(workload, peer, "total_seconds", durability)
    if spread and spread.is_bound:
        handled = results.median(workload, peer, "handled", durability) or 0
        return f"> {spread.median:.0f} ✂ ({handled:,.0f} done)"
    return _failure(results, workload, peer, durability) or _cell(spread, digits=2)


def _failure(results: Results, workload: str, peer: str, durability: str) -> str:
    failed = any("error" in record for record in results.records(workload, peer, durability))
    return "failed" if failed else ""


def _latency(results: Results, durability: str) -> str:
    header = [
        "milliseconds",
        *(f"{to} p{percent}" for to in ("handler", "result") for percent in (50, 95, 99)),
        "samples",
    ]
    rows = []
    for name in results.peers:
        records = results.records("D", name, durability)
        fields = [(field, percent) for field in ("to_handler", "to_result") for percent in (50, 95, 99)]
        cells = [_number(results.percentile(name, field, percent, durability), 1) for field, percent in fields]
        samples = sum(len(record.get("to_result", ())) for record in records)
        rows.append([_bold(name), *cells, str(samples)])
    return _table(header, rows)


def _strain(results: Results) -> str:
    sizes = results.sizes
    labels = {
        "A": "A, nothing else in the tables",
        "E finished": f"with {sizes['finished_tasks']:,} finished tasks in the tables",
        "E delayed": f"with {sizes['delayed_messages']:,} delayed messages waiting",
        "G": f"after {sizes['pinned_seconds']:g} s of work beside an open transaction",
    }
    names = [name for name in results.peers if name == OURS or results.records("G", name)]
    rows = [[text, *(_rate_cell(results, workload, name) for name in names)] for workload, text in labels.items()]
    return _table(["drain, jobs/s", *names], rows)


def _costs(results: Results) -> str:
    header = ["", "transactions", "statements", "WAL bytes", "HOT updates", "statements of an idle worker in 10 s"]
    rows = []
    for name in results.peers:
        fields = (("transactions_per_unit", 2), ("statements_per_unit", 2), ("wal_bytes_per_unit", 0))
        cells = [_number(results.median("costs", name, field), digits) for field, digits in fields]
        hot = results.median("costs", name, "hot_ratio")
        cells.append(NOTHING if hot is None else f"{hot:.0%}")
        cells.append(_number(results.median("idle", name, "statements_per_ten_seconds"), 1))
        if any(cell != NOTHING for cell in cells):
            rows.append([_bold(name), *cells])
    return _table(header, rows)


def _limits(results: Results) -> str:
    rows = [
        ["a trivial commit, median, ms", _number(results.median("limits", "limits", "commit_milliseconds"), 2)],
        [
            "pgbench, 10 clients: insert, update and delete a row in a transaction, transactions/s",
            _number(results.median("limits", "limits", "least_task_per_second")),
        ],
        [
            "pgmq alone, batches of 100 on one connection: send, read and archive, messages/s",
            _number(results.median("limits", "limits", "queue_per_second")),
        ],
    ]
    return _table(["", ""], rows)


def _memory(results: Results) -> str:
    sizes = results.sizes
    labels = {
        "A": f"{sizes['jobs']:,} jobs",
        "memory jobs": f"{sizes['memory_jobs']:,} jobs",
        "memory megabytes": f"{sizes['memory_megabytes']:,} jobs with an input of 1 MB each",
    }
    rows = [[text, _number(results.median(name, OURS, "peak_megabytes"))] for name, text in labels.items()]
    return _table(["pgflow", "high-water mark, MB"], rows)


def _settings(results: Results) -> str:
    rows = []
    for name, peer in results.peers.items():
        versions = ", ".join(f"{package} {version}" for package, version in peer["versions"].items())
        rows.append([name, versions, peer["settings"]])
    return _table(["", "versions", "settings"], rows)


def _cell(spread: Spread | None, digits: int = 0) -> str:
    if spread is None:
        return NOTHING
    if spread.smallest == spread.largest:
        return _number(spread.median, digits)
    smallest, largest = _number(spread.smallest, digits), _number(spread.largest, digits)
    return f"{_number(spread.median, digits)} ({smallest} to {largest})"


def _number(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
