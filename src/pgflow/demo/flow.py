"""The demo flow: read documents, look at them in three ways at once, check every link, write one report.

::

    read_documents ─┬─ extract_links ── check_link (one task per link) ─┐
                    ├─ count_words (fails once on purpose) ─────────────┼─ report
                    └─ summarise ───────────────────────────────────────┘

Each step is a plain function: what it takes from other steps is named by its parameters.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from pgflow import Context, Flow
from pgflow.demo import report as report_page
from pgflow.demo.documents import check_request, read_document
from pgflow.demo.links import check, collect_links
from pgflow.demo.model import AnalysisRequest, CheckedLink, Document, LinkToCheck, ReportResult, Summary, WordCount
from pgflow.demo.summarise import summarise_paragraphs
from pgflow.demo.words import count_words_of
from pgflow.errors import InvalidInput

DELIBERATE_FAILURE = "this failure is on purpose: the first attempt always fails, so that you see pgflow retry it"

analyse_documents = Flow("analyse_documents", max_attempts=3, base_delay=1, timeout=60)


# A file that is missing now is missing two seconds later: fail at once instead of retrying.
@analyse_documents.step(max_attempts=1)
async def read_documents(request: AnalysisRequest) -> list[Document]:
    """Read all documents at the same time; one error names every document that can't be read."""
    check_request(request)
    names = dict.fromkeys(request.documents)
    results = await asyncio.gather(*(asyncio.to_thread(read_document, name) for name in names), return_exceptions=True)
    return _all_or_problems(results)


@analyse_documents.step
def extract_links(read_documents: list[Document]) -> list[LinkToCheck]:
    """Collect the links of all documents; the map step gets one task for each."""
    return [link for document in read_documents for link in collect_links(document)]


@analyse_documents.map(over=extract_links)
async def check_link(link: LinkToCheck) -> CheckedLink:
    """Check one link."""
    return await check(link)


@analyse_documents.step
def count_words(read_documents: list[Document], ctx: Context) -> list[WordCount]:
    """Count the words of each document, on the second attempt."""
    if ctx.attempt == 1:
        raise RuntimeError(DELIBERATE_FAILURE)
    return [count_words_of(document) for document in read_documents]


@analyse_documents.step
def summarise(read_documents: list[Document]) -> list[Summary]:
    """Pick the sentences that stand for each document."""
    return [Summary(document.name, summarise_paragraphs(document.paragraphs)) for document in read_documents]


@analyse_documents.step
def report(
    count_words: list[WordCount],
    summarise: list[Summary],
    check_link: list[CheckedLink],
    flow_input: AnalysisRequest,
) -> ReportResult:
    """Join everything and write the report; doing it twice leaves one report."""
    sections = report_page.join_sections(count_words, summarise, check_link)
    totals = report_page.total(sections, flow_input.report_path)
    written_at = datetime.now().astimezone()
    report_page.write_atomically(totals.path, report_page.render(sections, totals, written_at))
    return totals


def _all_or_problems(results: list[Document | BaseException]) -> list[Document]:
    problems = [result for result in results if isinstance(result, InvalidInput)]
    if problems:
        raise InvalidInput("; ".join(map(str, problems)))
    documents: list[Document] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        documents.append(result)
    return documents
