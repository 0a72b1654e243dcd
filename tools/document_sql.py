"""Write the reference in docs/sql.md from the catalog of a migrated database, or check that it is up to date.

Usage: python tools/document_sql.py [--check] [URL]

Without a URL a temporary server of the embedded wheel is started. What people wrote above the marker stays.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import class_row

from pgflow import embedded, schema

Connection: TypeAlias = psycopg.Connection[Any]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "sql.md"
MARKER = "<!-- Everything below is written by tools/document_sql.py from the comments in src/pgflow/sql. -->\n"


@dataclass(frozen=True)
class Group:
    """Functions for one purpose; an overloaded name stands for all its functions."""

    title: str
    text: str
    functions: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """One function as the catalog describes it."""

    name: str
    arguments: str
    result: str
    comment: str | None


@dataclass(frozen=True)
class Column:
    """One column of a table, or attribute of a composite type; `relation` has the type or table's comment."""

    relation: str
    relation_comment: str | None
    is_table: bool
    name: str
    type: str
    is_required: bool
    default: str | None
    comment: str | None
    choices: str | None


GROUPS = (
    Group(
        "Define flows",
        "A flow is defined once, step by step or from a shape: a JSON document of its steps.",
        (
            "create_flow",
            "add_step",
            "ensure_flow_compiled",
            "upsert_flow",
            "set_flow_type",
            "flow_exists",
            "compare_flow",
            "list_flows",
            "delete_flow_and_data",
            "is_valid_slug",
            "_get_flow_shape",
            "_compare_flow_shapes",
            "_create_flow_from_shape",
        ),
    ),
    Group(
        "Start runs",
        "A run exists if and only if the transaction that started it commits.",
        ("start_flow", "start_flow_with_states", "start_flows", "start_runs", "seconds_until", "delay_run"),
    ),
    Group(
        "Cancel and retry runs",
        "Both can be repeated: a run that is so already is left as it is.",
        ("cancel_runs", "retry_runs"),
    ),
    Group(
        "Look at runs",
        "Tables can be read at any time; these save a join.",
        (
            "get_run",
            "get_run_by_key",
            "get_run_tags",
            "describe_run",
            "get_run_with_states",
            "get_run_statuses",
            "get_runs_if_ended",
            "get_step_progress",
            "get_flow_input",
            "get_step_output",
            "get_queue_depths",
            "list_runs",
            "count_runs",
            "list_tasks",
            "list_workers",
        ),
    ),
    Group(
        "Work on tasks",
        "What a worker calls. The functions for batches do for many tasks at once what the others do for one.",
        (
            "register_worker",
            "keep_alive",
            "mark_worker_stopped",
            "stop_workers",
            "exchange_tasks",
            "fetch_tasks",
            "start_tasks",
            "complete_task",
            "complete_tasks",
            "fail_task",
            "fail_tasks",
            "release_tasks",
            "release_lost_tasks",
            "calculate_retry_delay",
            "set_vt_batch",
            "extend_leases",
            "poll_for_tasks",
        ),
    ),
    Group(
        "Recover",
        "Workers die. Somebody has to call the first one every few seconds: a worker of this package, pg_cron, or you.",
        ("requeue_stalled_tasks", "recover_stalled_tasks", "fail_stalled_tasks", "recover_tasks"),
    ),
    Group(
        "Move a run by hand",
        "The engine does all of this by itself. They are for repairs, after rows were changed by hand.",
        (
            "cascade_resolve_conditions",
            "cascade_complete_taskless_steps",
            "start_ready_steps",
            "maybe_complete_run",
            "_cascade_force_skip_steps",
            "_archive_task_message",
        ),
    ),
    Group("Prune", "Nothing is ever deleted unasked.", ("prune_data_older_than", "count_data_older_than")),
    Group(
        "Listen",
        "Instead of looking again and again, a session can LISTEN. Payloads have no data: look at the tables then.",
        ("register_listener", "unregister_listener"),
    ),
    Group(
        "Roles",
        "Nobody but the owner may do anything until the owner says so.",
        ("grant_starter", "grant_worker", "revoke_grants"),
    ),
    Group(
        "Supabase",
        "For Supabase's platform: pg_cron calls, pg_net pings edge functions. Elsewhere nothing of it is needed.",
        (
            "track_worker_function",
            "ensure_workers",
            "setup_ensure_workers_cron",
            "setup_requeue_stalled_tasks_cron",
            "cleanup_ensure_workers_logs",
            "is_local",
        ),
    ),
)

RELATIONS = (
    "flows",
    "steps",
    "deps",
    "runs",
    "step_states",
    "step_tasks",
    "run_keys",
    "run_tags",
    "run_cancellations",
    "workers",
    "worker_functions",
    "listeners",
    "migrations",
    "step_task_record",
    "started_task",
    "ended_run",
)

FUNCTIONS_QUERY = """
select
  p.proname as name,
  pg_get_function_arguments(p.oid) as arguments,
  pg_get_function_result(p.oid) as result,
  obj_description(p.oid, 'pg_proc') as comment
from pg_proc p
where p.pronamespace = 'pgflow'::regnamespace
order by p.proname, p.pronargs
"""

COLUMNS_QUERY = """
select
  c.relname as relation,
  case c.relkind
    when 'r' then obj_description(c.oid, 'pg_class') else obj_description(c.reltype, 'pg_type')
  end as relation_comment,
  c.relkind = 'r' as is_table,
  a.attname as name,
  format_type(a.atttypid, a.atttypmod) as type,
  a.attnotnull as is_required,
  pg_get_expr(d.adbin, d.adrelid) as default,
  col_description(c.oid, a.attnum) as comment,
  (
    select pg_get_constraintdef(k.oid)
    from pg_constraint k
    where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[a.attnum]
      and pg_get_constraintdef(k.oid) like '% = ANY (ARRAY[%'
  ) as choices
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'pgflow'::regnamespace and c.relkind in ('r', 'c') and c.relname not like '\\_%'
order by c.relname, a.attnum
"""


def document(connection: Connection) -> str:
    """Return the reference in Markdown. Raises :class:`ValueError` for what is public and in no group, or missing."""
    functions = _functions(connection)
    columns = _columns(connection)
    grouped = [name for group in GROUPS for name in group.functions]
    public = {function.name for function in functions if not function.name.startswith("_")}
    _require_same("functions", {*grouped}, public | {name for name in grouped if name in {f.name for f in functions}})
    _require_same("tables and types", {*RELATIONS}, {column.relation for column in columns})
    sections = [_render_group(group, functions) for group in GROUPS]
    return "\n".join([*sections, _render_relations(columns)])


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    with _migrated_database(options.url) as connection:
        reference = document(connection)
    present = DOCUMENT.read_text(encoding="utf-8")
    wanted = present.partition(MARKER)[0] + MARKER + "\n" + reference
    if wanted == present:
        return 0
    if options.check:
        sys.stdout.writelines(
            difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(DOCUMENT), "generated")
        )
        return 1
    DOCUMENT.write_text(wanted, encoding="utf-8")
    print(f"wrote docs/{DOCUMENT.name}")
    return 0


@contextmanager
def _migrated_database(url: str | None) -> Iterator[Connection]:
    if url:
        with psycopg.connect(url) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="pgflow-") as folder:
        project = Path(folder)
        try:
            with psycopg.connect(embedded.start(project).url) as connection:
                schema.migrate(connection)
                yield connection
        finally:
            embedded.stop(project)


def _functions(connection: Connection) -> list[Function]:
    with connection.cursor(row_factory=class_row(Function)) as cursor:
        return cursor.execute(FUNCTIONS_QUERY).fetchall()


def _columns(connection: Connection) -> list[Column]:
    with connection.cursor(row_factory=class_row(Column)) as cursor:
        return cursor.execute(COLUMNS_QUERY).fetchall()


def _require_same(what: str, listed: set[str], found: set[str]) -> None:
    if listed != found:
        raise ValueError(f"{what} not listed: {sorted(found - listed)}; listed but missing: {sorted(listed - found)}")


def _render_group(group: Group, functions: Sequence[Function]) -> str:
    rendered = [_render_functions([f for f in functions if f.name == name]) for name in group.functions]
    return "\n".join([f"## {group.title}\n", f"{group.text}\n", *rendered])


def _render_functions(overloads: Sequence[Function]) -> str:
    parts = [f"```\n{_signature(function)}\n```\n\n{function.comment}\n" for function in overloads]
    return "\n".join([f"### {overloads[0].name}\n", *parts])


def _signature(function: Function) -> str:
    """Return a function as one would declare it, over several lines where one is too long."""
    arguments = [_plain(argument) for argument in function.arguments.split(", ") if argument]
    taken = [argument for argument in arguments if not argument.startswith("OUT ")]
    given = [argument.removeprefix("OUT ") for argument in arguments if argument.startswith("OUT ")]
    result = _plain(function.result).replace("TABLE(", "table (").replace("SETOF ", "setof ")
    if given:
        result = f"record ({', '.join(given)})"
    line = f"pgflow.{function.name}({', '.join(taken)}) returns {result}"
    if len(line) <= 100:
        return line
    indented = ",\n".join(f"  {argument}" for argument in taken)
    return f"pgflow.{function.name}(\n{indented}\n) returns {result}"


def _render_relations(columns: Sequence[Column]) -> str:
    parts = [
        "## Tables and types\n",
        "Read them; change them through functions only. Options of flows and steps are the exception: an UPDATE of an\n"
        "`opt_` column counts from the next task on.\n",
    ]
    rendered = [_render_relation([column for column in columns if column.relation == name]) for name in RELATIONS]
    return "\n".join([*parts, *rendered])


def _render_relation(columns: Sequence[Column]) -> str:
    first = columns[0]
    header = (
        "| Column | Type | NULL | Default | Meaning |\n|---|---|---|---|---|"
        if first.is_table
        else "| Attribute | Type | Meaning |\n|---|---|---|"
    )
    lines = [f"### pgflow.{first.relation}\n", f"{first.relation_comment}\n", header, *map(_render_column, columns)]
    return "\n".join(lines) + "\n"


def _render_column(column: Column) -> str:
    name, kind, meaning = f"`{column.name}`", _plain(column.type), _meaning(column)
    cells = [name, kind, meaning]
    if column.is_table:
        default = f"`{_plain(column.default)}`" if column.default else ""
        cells = [name, kind, "" if column.is_required else "yes", default, meaning]
    return "| " + " | ".join(cells) + " |"


def _meaning(column: Column) -> str:
    choices = re.findall(r"'([^']+)'", column.choices or "")
    listed = f"One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return " ".join(part for part in (listed, column.comment) if part)


def _plain(text: str) -> str:
    """Return a type or default in everyday words, without casts."""
    text = re.sub(r"::[a-z ]+(\[\])?", "", text)
    text = text.replace("DEFAULT NULL", "default null").replace("DEFAULT", "default")
    text = text.replace("timestamp with time zone", "timestamptz").replace("pgflow._now()", "now()")
    return re.sub(r"\binteger\b", "int", text)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write the reference in docs/sql.md.")
    parser.add_argument("--check", action="store_true", help="only compare, and show what differs")
    parser.add_argument("url", nargs="?", help="a migrated database; without one, a temporary server is started")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
