"""`pgflow demo`."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from pgflow import PgFlow, Run, Worker
from pgflow.cli.live import change_lines, dependencies_in
from pgflow.cli.output import UrlOption, command_name, errors, results
from pgflow.cli.picture import RunPicture
from pgflow.cli.tables import print_line
from pgflow.database_url import given_url, without_password
from pgflow.demo import check_extra

if TYPE_CHECKING:
    from pgflow.demo.model import AnalysisRequest


def demo(
    documents: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE_OR_URL]…", help="What to analyse. Default: the documents of this project."),
    ] = None,
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("pgflow-report.md"),
    url: UrlOption = None,
) -> None:
    """Analyse documents with a flow: read, extract and check links, count words, summarise, write a report."""
    check_extra()
    from pgflow.demo.documents import make_request

    for name in ("pgflow.worker", "pgflow.task"):  # the display shows what fails and is retried
        logging.getLogger(name).setLevel(logging.ERROR)
    run = asyncio.run(_analyse(make_request(documents or [], report), url))
    _say_what_happened(run, url)


async def _analyse(request: AnalysisRequest, url: str | None) -> Run:
    from pgflow.demo.flow import analyse_documents

    async with PgFlow(url, flows=[analyse_documents]) as app:
        results.print(analyse_documents.graph("text"), markup=False, highlight=False)
        worker = app.worker()
        await worker.start()
        try:
            run = await app.start_flow(analyse_documents, request)
            await _follow_while_working(run, worker)
            await run.result()
        finally:
            await worker.stop()
        return run


async def _follow_while_working(run: Run, worker: Worker) -> None:
    """Show the run until it ends. Raises what ends the worker before, without whom nothing would go on."""
    following = asyncio.create_task(_follow(run))
    working = asyncio.create_task(worker.wait())
    try:
        await asyncio.wait({following, working}, return_when=asyncio.FIRST_COMPLETED)
        await (following if following.done() else working)
    finally:
        following.cancel()
        working.cancel()
        await asyncio.gather(following, working, return_exceptions=True)


async def _follow(run: Run) -> None:
    """Show each step until the run ends: live on a terminal, one line per change elsewhere."""
    from pgflow.demo.flow import analyse_documents

    if not results.is_terminal:
        await _follow_in_lines(run)
        return
    dependencies = dependencies_in(analyse_documents.flow_shape)
    with Live(console=results, refresh_per_second=12) as live:
        while not run.row.ended:
            await run.refresh()
            live.update(RunPicture(run.row, run.steps, await run.read_progress(), dependencies, live=True))
            await asyncio.sleep(0.1)


async def _follow_in_lines(run: Run) -> None:
    told: set[str] = set()
    began = time.monotonic()
    while not run.row.ended:
        await run.refresh()
        progress = await run.read_progress()
        for line in change_lines(run.steps, progress):
            if line not in told:
                told.add(line)
                print_line(results, f"{time.monotonic() - began:6.2f} s  {line}")
        await asyncio.sleep(0.02)


def _say_what_happened(run: Run, url: str | None) -> None:
    report = run.output["report"]
    results.print(
        f"\n{_count(report['documents'], 'document')}, {_count(report['words'], 'word')}, "
        f"{_count(report['links'], 'link')}, {report['broken_links']} broken\nreport  {report['path']}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    command = command_name()
    given = given_url(url)
    psql, option = f"{command} server psql", ""
    if given:
        database = shlex.quote(without_password(given))
        psql, option = f"psql {database}", f" --url {database}" if url else ""
    where = f"where run_id = '{run.run_id}'"
    errors.print(
        "\nThe run is rows in PostgreSQL; look at them with:\n"
        f"  {psql} <<SQL\n"
        f"  select * from pgflow.runs {where};\n"
        f"  select step_slug, status, completed_at - started_at as took from pgflow.step_states {where};\n"
        f"  select step_slug, task_index, status, attempts_count, error_message from pgflow.step_tasks {where};\n"
        "  SQL\n"
        f"or with: {command} run {run.run_id}{option}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
