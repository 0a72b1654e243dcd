"""What is installed in schema pgflow: the contract's functions letter by letter, and the rules for all functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sql.engine import Connection, rows

SOURCES = Path(__file__).parents[2] / "src" / "pgflow" / "sql"

# The functions of the contract: input parameters in their order, and what is returned.
CONTRACT = {
    "is_local": ("", "boolean"),
    "is_valid_slug": ("slug text", "boolean"),
    "calculate_retry_delay": ("base_delay numeric, attempts_count integer", "integer"),
    "create_flow": (
        "flow_slug text, max_attempts integer, base_delay integer, timeout integer",
        "pgflow.flows",
    ),
    "add_step": (
        "flow_slug text, step_slug text, deps_slugs text[], max_attempts integer, base_delay integer, "
        "timeout integer, start_delay integer, step_type text, required_input_pattern jsonb, "
        "forbidden_input_pattern jsonb, when_unmet text, when_exhausted text",
        "pgflow.steps",
    ),
    "_get_flow_shape": ("p_flow_slug text", "jsonb"),
    "_compare_flow_shapes": ("p_local jsonb, p_db jsonb", "text[]"),
    "_create_flow_from_shape": ("p_flow_slug text, p_shape jsonb", "void"),
    "ensure_flow_compiled": ("flow_slug text, shape jsonb, allow_data_loss boolean", "jsonb"),
    "delete_flow_and_data": ("p_flow_slug text", "void"),
    "start_flow": ("flow_slug text, input jsonb, run_id uuid", "SETOF pgflow.runs"),
    "get_run_with_states": ("run_id uuid", "jsonb"),
    "start_flow_with_states": ("flow_slug text, input jsonb, run_id uuid", "jsonb"),
    "start_tasks": ("flow_slug text, msg_ids bigint[], worker_id uuid", "SETOF pgflow.step_task_record"),
    "complete_task": (
        "run_id uuid, step_slug text, task_index integer, output jsonb",
        "SETOF pgflow.step_tasks",
    ),
    "fail_task": (
        "run_id uuid, step_slug text, task_index integer, error_message text",
        "SETOF pgflow.step_tasks",
    ),
    "set_vt_batch": (
        "queue_name text, msg_ids bigint[], vt_offsets integer[]",
        "TABLE(msg_id bigint, read_ct integer, enqueued_at timestamp with time zone, "
        "vt timestamp with time zone, message jsonb, headers jsonb)",
    ),
    "track_worker_function": ("function_name text", "void"),
    "mark_worker_stopped": ("worker_id uuid", "void"),
    "poll_for_tasks": (
        "queue_name text, vt integer, qty integer, max_poll_seconds integer, poll_interval_ms integer",
        "SETOF pgflow.step_task_record",
    ),
    "start_ready_steps": ("run_id uuid", "void"),
    "cascade_complete_taskless_steps": ("run_id uuid", "integer"),
    "cascade_resolve_conditions": ("run_id uuid", "boolean"),
    "_cascade_force_skip_steps": ("run_id uuid, step_slug text, skip_reason text", "integer"),
    "maybe_complete_run": ("run_id uuid", "void"),
    "_archive_task_message": ("p_run_id uuid, p_step_slug text, p_task_index integer", "void"),
    "requeue_stalled_tasks": ("", "integer"),
}

# The functions of the contract that a core may leave out; where they are installed they must look like this.
OPTIONAL = {
    "prune_data_older_than": ("retention_interval interval", "void"),
    "setup_requeue_stalled_tasks_cron": ("cron_interval text", "text"),
    "setup_ensure_workers_cron": ("cron_interval text", "text"),
    "ensure_workers": ("", "TABLE(function_name text, invoked boolean, request_id bigint)"),
    "cleanup_ensure_workers_logs": ("retention_hours integer", "TABLE(cron_deleted bigint)"),
}

# What the contract doesn't know, and why it is there.
ADDITIONS = {
    "delay_run": "a run that starts later",
    "complete_tasks": "a batch of completions in one call, fenced by attempt",
    "fail_tasks": "a batch of failures in one call, fenced by attempt",
    "fetch_tasks": "reading messages and starting their tasks in one call",
    "exchange_tasks": "a worker's results for new tasks, in one call",
    "release_tasks": "tasks given back without an attempt used, by a worker that stops or a handler that snoozes",
    "release_lost_tasks": "tasks given back whose handover was lost with the connection",
    "start_flows": "many runs in one call",
    "start_runs": "starts that can be repeated, at a time, with tags",
    "seconds_until": "a delay that ends at a point in time, by the database's clock",
    "set_flow_type": "jobs are told from flows, as the Elixir implementation does",
    "compare_flow": "who may not define flows can still find out whether his code and the database agree",
    "fail_stalled_tasks": "ends what recovery has given up, which the contract allows as a function of its own",
    "recover_stalled_tasks": "recovery after another time than the contract's half a minute",
    "flow_exists": "clients only call functions, they read no table",
    "get_run_by_key": "clients only call functions, they read no table",
    "get_run_tags": "clients only call functions, they read no table",
    "get_run": "clients only call functions, they read no table",
    "get_step_progress": "clients only call functions, they read no table",
    "get_flow_input": "clients only call functions, they read no table",
    "get_step_output": "clients only call functions, they read no table",
    "get_run_statuses": "one statement for who waits for many runs",
    "get_runs_if_ended": "one statement for who waits, and nothing before the end",
    "list_flows": "clients only call functions, they read no table",
    "list_runs": "clients only call functions, they read no table",
    "list_tasks": "clients only call functions, they read no table",
    "count_runs": "clients only call functions, they read no table",
    "list_workers": "clients only call functions, they read no table",
    "count_data_older_than": "what pruning would delete, asked before it is done",
    "upsert_flow": "a flow that is data, replaced in one transaction",
    "register_listener": "notifications are sent only while somebody listens",
    "unregister_listener": "notifications are sent only while somebody listens",
    "register_worker": "workers only call functions, they write to no table",
    "keep_alive": "workers only call functions, they write to no table; one heartbeat for all workers of a process",
    "stop_workers": "workers only call functions; all workers of a process in one call",
    "recover_tasks": "recovery and its end by policy, by one worker at a time",
    "get_queue_depths": "health checks only call functions, they read no queue",
    "cancel_runs": "the contract has no way to end a run from outside",
    "retry_runs": "the contract has no way back for a run that has failed",
    "describe_run": "says of a failed run that it was cancelled, for which the contract has no status",
    "extend_leases": "which tasks a worker still holds, and their messages kept away",
    "grant_starter": "rights for a role that starts runs",
    "grant_worker": "rights for a role that works tasks",
    "revoke_grants": "takes those rights back",
}

# Of the contract's functions. Others do where they are granted to roles without rights on tables.
SECURITY_DEFINER = {
    "get_run_with_states",
    "start_flow_with_states",
    "requeue_stalled_tasks",
    "setup_requeue_stalled_tasks_cron",
    "setup_ensure_workers_cron",
    "cleanup_ensure_workers_logs",
}

# The contract's function and one that does the same in batches and counts.
OVERLOADED = {"prune_data_older_than"}

# Statements that run once, at the end of the installation.
SCRIPTS = {"rights", "schedule_jobs"}

# What is installed into a schema that the reference's migrations have made, and not into ours.
ELSEWHERE = "reference"

VOLATILITY = {
    "is_local": "stable",
    "is_valid_slug": "immutable",
    "calculate_retry_delay": "immutable",
    "_get_flow_shape": "stable",
    "_compare_flow_shapes": "stable",
}

# A pinned search_path would keep the planner from inlining the clock, which is called once per row.
UNPINNED = {"_now"}

# The contract proposes this function with these very names.
NAMED_BY_THE_CONTRACT = CONTRACT.keys() | OPTIONAL.keys() | {"_emit_event"}


@dataclass(frozen=True)
class Function:
    """One function as the catalog describes it."""

    name: str
    parameters: str
    result: str
    language: str
    volatility: str
    is_security_definer: bool
    settings: list[str]
    comment: str | None
    source: str

    @property
    def parameter_names(self) -> list[str]:
        inputs = [one for one in self.parameters.split(", ") if one and not one.startswith("OUT ")]
        return [one.split()[0] for one in inputs]


CATALOG = """
    select
      p.proname as name,
      pg_get_function_identity_arguments(p.oid) as parameters,
      pg_get_function_result(p.oid) as result,
      l.lanname as language,
      case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
      p.prosecdef as is_security_definer,
      coalesce(p.proconfig, '{}') as settings,
      obj_description(p.oid, 'pg_proc') as comment,
      p.prosrc as source
    from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'pgflow'::regnamespace
    order by p.proname
"""


@pytest.fixture
def functions(connection: Connection) -> list[Function]:
    """All functions of the schema."""
    return [Function(**row) for row in rows(connection, CATALOG)]


@pytest.mark.parametrize("name", CONTRACT)
def test_a_function_of_the_contract_is_installed_once(functions: list[Function], name: str) -> None:
    assert [function.name for function in functions].count(name) == 1


@pytest.mark.feature("A4.23")
@pytest.mark.parametrize("name", CONTRACT)
def test_a_function_of_the_contract_has_its_parameters_and_its_result(functions: list[Function], name: str) -> None:
    assert [(found.parameters, found.result) for found in functions if found.name == name] == [CONTRACT[name]]


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_function_that_may_be_left_out_has_its_parameters_and_its_result(
    functions: list[Function], name: str
) -> None:
    installed = [(found.parameters, found.result) for found in functions if found.name == name]
    assert installed == [] or OPTIONAL[name] in installed


@pytest.mark.parametrize("name", CONTRACT)
def test_a_function_of_the_contract_has_its_volatility(functions: list[Function], name: str) -> None:
    assert next(f.volatility for f in functions if f.name == name) == VOLATILITY.get(name, "volatile")


def test_no_other_function_is_overloaded(functions: list[Function]) -> None:
    names = [function.name for function in functions]
    assert {name for name in names if names.count(name) > 1} <= OVERLOADED


def test_every_function_pins_a_search_path_in_which_temporary_types_come_last(functions: list[Function]) -> None:
    pinned = {f.name for f in functions if "search_path=pg_catalog, pg_temp" in f.settings}
    assert {f.name for f in functions} - pinned == UNPINNED


def test_what_plans_without_sequential_scans_is_not_compiled(functions: list[Function]) -> None:
    """A scan that can't be avoided counts as so expensive then that compiling the plan seems to be worth a second."""
    assert [f.name for f in functions if "enable_seqscan=off" in f.settings and "jit=off" not in f.settings] == []


def test_functions_of_the_contract_run_with_the_rights_of_their_owner_exactly_where_it_says(
    functions: list[Function],
) -> None:
    definers = {f.name for f in functions if f.is_security_definer}
    assert definers & (CONTRACT.keys() | OPTIONAL.keys()) == SECURITY_DEFINER & {f.name for f in functions}


def test_what_is_neither_in_the_contract_nor_a_known_addition_starts_with_an_underscore(
    functions: list[Function],
) -> None:
    public = {f.name for f in functions if not f.name.startswith("_")}
    assert public - CONTRACT.keys() - OPTIONAL.keys() <= ADDITIONS.keys()


def test_every_public_function_has_a_comment(functions: list[Function]) -> None:
    assert [f.name for f in functions if not f.name.startswith("_") and not f.comment] == []


def test_parameters_that_the_contract_does_not_name_start_with_p(functions: list[Function]) -> None:
    misnamed = {
        f"{function.name}({name})"
        for function in functions
        if function.name not in NAMED_BY_THE_CONTRACT
        for name in function.parameter_names
        if not name.startswith("p_")
    }
    assert misnamed == set()


def test_variables_start_with_v(functions: list[Function]) -> None:
    misnamed = {
        f"{function.name}: {name}"
        for function in functions
        if function.language == "plpgsql"
        for name in declared_variables(function.source)
        if not name.startswith("v_")
    }
    assert misnamed == set()


def test_the_public_may_not_use_the_schema(connection: Connection) -> None:
    granted = "select from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = 'pgflow' and a.grantee = 0"
    assert rows(connection, granted) == []


def test_a_file_holds_one_function_and_is_named_as_it() -> None:
    misnamed = {
        str(path.relative_to(SOURCES)): created_functions(path)
        for path in [*source_files(), *files_for_elsewhere()]
        if created_functions(path) != [path.stem] * (2 if path.stem in OVERLOADED else 1)
    }
    assert misnamed == {}


def test_every_installed_function_has_its_file(functions: list[Function]) -> None:
    assert {function.name for function in functions} == {path.stem for path in source_files()}


def test_the_table_of_contents_names_every_file_once() -> None:
    named = re.findall(r"^\\ir (\S+)$", (SOURCES / "schema.sql").read_text(), re.MULTILINE)
    files = [path for path in SOURCES.glob("*/*.sql") if path.parent.name not in ("migrations", ELSEWHERE)]
    assert sorted(named) == sorted(str(path.relative_to(SOURCES)) for path in files)


def test_the_table_of_contents_for_elsewhere_names_every_file_once() -> None:
    named = re.findall(r"^\\ir (\w+\.sql)$", (SOURCES / ELSEWHERE / "contents.sql").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in files_for_elsewhere())


def test_installation_leaves_no_flow_no_queue_and_no_worker(connection: Connection) -> None:
    for table in ("flows", "workers", "worker_functions"):
        assert rows(connection, f"select from pgflow.{table}") == []
    assert rows(connection, "select from pgmq.list_queues()") == []


def test_no_trigger_stands_behind_the_tables(connection: Connection) -> None:
    triggers = """
        select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where not t.tgisinternal and c.relnamespace = 'pgflow'::regnamespace
    """
    assert rows(connection, triggers) == []


def source_files() -> list[Path]:
    """The files that hold functions."""
    folders = (path.parent.name for path in SOURCES.glob("*/*.sql"))
    holding = sorted(set(folders) - {"migrations", "tables", ELSEWHERE})
    return [path for name in holding for path in sorted((SOURCES / name).glob("*.sql")) if path.stem not in SCRIPTS]


def files_for_elsewhere() -> list[Path]:
    """The files of functions that aren't installed here."""
    return [path for path in sorted((SOURCES / ELSEWHERE).glob("*.sql")) if path.stem != "contents"]


def created_functions(path: Path) -> list[str]:
    """The names of the functions that a file creates."""
    return re.findall(r"create (?:or replace )?function pgflow\.(\w+)", path.read_text())


def declared_variables(source: str) -> list[str]:
    """The names in the declarations of a function's body."""
    declarations = re.search(r"^declare\n(.*?)^begin$", source, re.MULTILINE | re.DOTALL)
    return re.findall(r"^  (\w+) ", declarations.group(1), re.MULTILINE) if declarations else []
