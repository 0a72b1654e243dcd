"""What the tables of definitions accept: flows, steps and the edges between them."""

from __future__ import annotations

import pytest

from sql.engine import Connection, create_flow, define, refused, row, value

CHECK, FOREIGN_KEY, UNIQUE, NOT_NULL = "23514", "23503", "23505", "23502"


@pytest.fixture
def defined(connection: Connection) -> Connection:
    """A flow with a step `a` and a step `b` behind it."""
    define(connection, "a", "b < a")
    return connection


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("slug_is_valid", "flow_slug = '1st'"),
        ("opt_max_attempts_is_nonnegative", "opt_max_attempts = -1"),
        ("opt_base_delay_is_nonnegative", "opt_base_delay = -1"),
        ("opt_timeout_is_positive", "opt_timeout = 0"),
        ("flow_type_is_valid", "flow_type = 'cron'"),
    ],
)
def test_a_flow_obeys(connection: Connection, constraint: str, change: str) -> None:
    create_flow(connection)
    with refused(connection, CHECK, f'relation "flows" violates check constraint "{constraint}"'):
        connection.execute(f"update pgflow.flows set {change}")


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("steps_step_slug_check", "step_slug = 'run'"),
        ("steps_step_type_check", "step_type = 'loop'"),
        ("steps_deps_count_check", "deps_count = -1"),
        ("opt_max_attempts_is_nonnegative", "opt_max_attempts = -1"),
        ("opt_base_delay_is_nonnegative", "opt_base_delay = -1"),
        ("opt_timeout_is_positive", "opt_timeout = 0"),
        ("opt_start_delay_is_nonnegative", "opt_start_delay = -1"),
        ("required_input_pattern_is_object", "required_input_pattern = '[]'"),
        ("required_input_pattern_is_object", "required_input_pattern = 'null'"),
        ("forbidden_input_pattern_is_object", "forbidden_input_pattern = '\"x\"'"),
        ("when_unmet_is_valid", "when_unmet = 'ignore'"),
        ("when_exhausted_is_valid", "when_exhausted = 'Skip'"),
    ],
)
def test_a_step_obeys(defined: Connection, constraint: str, change: str) -> None:
    with refused(defined, CHECK, f'relation "steps" violates check constraint "{constraint}"'):
        defined.execute(f"update pgflow.steps set {change} where step_slug = 'b'")


@pytest.mark.parametrize(
    ("sqlstate", "constraint", "insertion"),
    [
        (UNIQUE, "flows_pkey", "flows (flow_slug) values ('flow')"),
        (UNIQUE, "steps_pkey", "steps (flow_slug, step_slug, step_index) values ('flow', 'a', 2)"),
        (UNIQUE, "steps_flow_slug_step_index_key", "steps (flow_slug, step_slug, step_index) values ('flow', 'c', 1)"),
        (FOREIGN_KEY, "steps_flow_slug_fkey", "steps (flow_slug, step_slug) values ('other', 'a')"),
        (UNIQUE, "deps_pkey", "deps values ('flow', 'a', 'b')"),
        (CHECK, "deps_check", "deps values ('flow', 'a', 'a')"),
        (
            FOREIGN_KEY,
            "deps_flow_slug_dep_slug_fkey",
            "deps values ('flow', 'x', 'b')",
        ),
        (
            FOREIGN_KEY,
            "deps_flow_slug_step_slug_fkey",
            "deps values ('flow', 'a', 'x')",
        ),
    ],
)
def test_a_row_is_refused_by(defined: Connection, sqlstate: str, constraint: str, insertion: str) -> None:
    with refused(defined, sqlstate, f'constraint "{constraint}"'):
        defined.execute(f"insert into pgflow.{insertion}")


@pytest.mark.feature("A5.2")
def test_a_flow_has_defaults_of_its_own(connection: Connection) -> None:
    inserted = row(connection, "insert into pgflow.flows (flow_slug) values ('flow') returning *, now() as now")
    assert inserted == {
        "flow_slug": "flow",
        "opt_max_attempts": 3,
        "opt_base_delay": 1,
        "opt_timeout": 60,
        "created_at": inserted["now"],
        "flow_type": "flow",
        "now": inserted["now"],
    }


@pytest.mark.feature("A5.2")
def test_a_step_inherits_unless_told(connection: Connection) -> None:
    create_flow(connection)
    query = "insert into pgflow.steps (flow_slug, step_slug) values ('flow', 'a') returning *, now() as now"
    inserted = row(connection, query)
    assert inserted == {
        "flow_slug": "flow",
        "step_slug": "a",
        "step_type": "single",
        "step_index": 0,
        "deps_count": 0,
        "opt_max_attempts": None,
        "opt_base_delay": None,
        "opt_timeout": None,
        "opt_start_delay": None,
        "required_input_pattern": None,
        "forbidden_input_pattern": None,
        "when_unmet": "skip",
        "when_exhausted": "fail",
        "created_at": inserted["now"],
        "now": inserted["now"],
    }


@pytest.mark.parametrize("change", ["opt_max_attempts = 0, opt_base_delay = 0, opt_timeout = 1, opt_start_delay = 0"])
def test_the_smallest_options_are_accepted(defined: Connection, change: str) -> None:
    assert defined.execute(f"update pgflow.steps set {change}").rowcount == 2


@pytest.mark.parametrize("table", ["flows", "steps"])
def test_what_others_refer_to_is_not_deleted_with_them(defined: Connection, table: str) -> None:
    with refused(defined, FOREIGN_KEY):
        defined.execute(f"delete from pgflow.{table}")


def test_the_definition_can_be_deleted_table_by_table(defined: Connection) -> None:
    for table in ("step_tasks", "step_states", "runs", "deps", "steps", "flows"):
        defined.execute(f"delete from pgflow.{table}")
    assert value(defined, "select count(*) from pgflow.flows") == 0
