"""Adding steps to a flow, each behind its parents."""

from __future__ import annotations

import pytest

from sql.engine import (
    Connection,
    Row,
    add_step,
    create_flow,
    define,
    finish,
    refused,
    row,
    rows,
    snapshot,
    start,
    statuses,
    value,
)


@pytest.fixture
def flow(connection: Connection) -> Connection:
    """A flow without steps."""
    create_flow(connection)
    return connection


def edges(connection: Connection) -> list[tuple[str, str]]:
    found = rows(connection, "select dep_slug, step_slug from pgflow.deps order by 1, 2")
    return [(edge["dep_slug"], edge["step_slug"]) for edge in found]


def test_a_step_inherits_its_options_and_skips_and_fails_by_default(flow: Connection) -> None:
    added = row(flow, "select * from pgflow.add_step('flow', 'a')")
    assert added == row(flow, "select * from pgflow.steps")
    del added["created_at"]
    assert added == {
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
    }


@pytest.mark.feature("A5.6")
def test_all_options_are_stored(flow: Connection) -> None:
    options: Row = {"max_attempts": 1, "base_delay": 2, "timeout": 3, "start_delay": 4}
    patterns: Row = {"required_input_pattern": {"x": 1}, "forbidden_input_pattern": {"y": None}}
    modes: Row = {"when_unmet": "fail", "when_exhausted": "skip-cascade"}
    added = add_step(flow, "a*", **options, **patterns, **modes)
    assert {name: added[f"opt_{name}"] for name in options} == options
    assert {name: added[name] for name in patterns} == patterns
    assert {name: added[name] for name in modes} == modes
    assert added["step_type"] == "map"


def test_options_can_be_given_by_position(flow: Connection) -> None:
    query = "select * from pgflow.add_step('flow', 'a', '{}', 1, 2, 3, 4, 'map', '{}', '{}', 'fail', 'skip')"
    added = row(flow, query)
    assert (added["opt_max_attempts"], added["opt_start_delay"], added["step_type"]) == (1, 4, "map")
    assert (added["when_unmet"], added["when_exhausted"]) == ("fail", "skip")


def test_there_is_one_function_of_this_name(connection: Connection) -> None:
    query = "select count(*) from pg_proc where pronamespace = 'pgflow'::regnamespace and proname = 'add_step'"
    assert value(connection, query) == 1


def test_steps_are_numbered_in_the_order_of_definition(flow: Connection) -> None:
    assert [add_step(flow, slug)["step_index"] for slug in "cab"] == [0, 1, 2]


def test_each_flow_numbers_its_own_steps(flow: Connection) -> None:
    add_step(flow, "a")
    define(flow, "a", "b", flow="other")
    assert add_step(flow, "b")["step_index"] == 1


def test_a_number_that_is_taken_by_hand_is_skipped(flow: Connection) -> None:
    add_step(flow, "a")
    flow.execute("update pgflow.steps set step_index = 7")
    assert add_step(flow, "b")["step_index"] == 8


@pytest.mark.feature("A5.2", "A5.6")
def test_dependencies_are_edges_and_are_counted(flow: Connection) -> None:
    add_step(flow, "a")
    add_step(flow, "b")
    assert add_step(flow, "c < a b")["deps_count"] == 2
    assert edges(flow) == [("a", "c"), ("b", "c")]


def test_no_dependencies_and_null_are_the_same(flow: Connection) -> None:
    added = row(flow, "select * from pgflow.add_step('flow', 'a', deps_slugs => null)")
    assert (added["deps_count"], edges(flow)) == (0, [])


def test_a_type_of_null_is_single(flow: Connection) -> None:
    assert row(flow, "select * from pgflow.add_step('flow', 'a', step_type => null)")["step_type"] == "single"


def test_a_dependency_listed_twice_counts_once(flow: Connection) -> None:
    add_step(flow, "a")
    assert add_step(flow, "b < a a")["deps_count"] == 1
    assert edges(flow) == [("a", "b")]


def test_a_step_behind_a_dependency_listed_twice_starts_after_it(flow: Connection) -> None:
    add_step(flow, "a")
    add_step(flow, "b < a a")
    run_id = start(flow)
    finish(flow, run_id, "a")
    assert statuses(flow, run_id) == {"a": "completed", "b": "started"}


def test_a_map_over_one_dependency_listed_twice_is_accepted(flow: Connection) -> None:
    add_step(flow, "a")
    assert add_step(flow, "m* < a a")["deps_count"] == 1


def test_a_step_that_exists_keeps_its_options_and_dependencies_and_is_returned(flow: Connection) -> None:
    add_step(flow, "a")
    add_step(flow, "b")
    first = add_step(flow, "c < a", timeout=5)
    before = snapshot(flow)
    assert add_step(flow, "c* < a b", timeout=6, when_unmet="fail") == first
    assert snapshot(flow) == before


@pytest.mark.feature("A5.8")
@pytest.mark.parametrize(
    ("parents", "listed"), [("a b", "2 were provided: a, b"), ("c a b", "3 were provided: c, a, b")]
)
def test_a_map_over_several_steps_is_refused(flow: Connection, parents: str, listed: str) -> None:
    for slug in "abc":
        add_step(flow, slug)
    with refused(flow, "P0001", f'Map step "m" can have at most one dependency, but {listed}'):
        add_step(flow, f"m* < {parents}")
    assert value(flow, "select count(*) from pgflow.steps") == 3


def test_a_single_step_may_have_many_parents(flow: Connection) -> None:
    for slug in "abc":
        add_step(flow, slug)
    assert add_step(flow, "d < a b c")["deps_count"] == 3


@pytest.mark.feature("A5.6")
@pytest.mark.parametrize(
    ("sqlstate", "constraint", "text", "options"),
    [
        ("23514", "steps_step_slug_check", "1st", {}),
        ("23514", "steps_step_slug_check", "run", {}),
        ("23503", "deps_flow_slug_dep_slug_fkey", "b < unknown", {}),
        ("23503", "deps_flow_slug_dep_slug_fkey", "b < a unknown", {}),
        ("23514", "deps_check", "b < b", {}),
        ("23514", "deps_check", "b < a b", {}),
        ("23514", "opt_start_delay_is_nonnegative", "b", {"start_delay": -10}),
        ("23514", "opt_max_attempts_is_nonnegative", "b", {"max_attempts": -1}),
        ("23514", "opt_base_delay_is_nonnegative", "b", {"base_delay": -1}),
        ("23514", "opt_timeout_is_positive", "b", {"timeout": 0}),
        ("23514", "required_input_pattern_is_object", "b", {"required_input_pattern": []}),
        ("23514", "required_input_pattern_is_object", "b", {"required_input_pattern": "x"}),
        ("23514", "forbidden_input_pattern_is_object", "b", {"forbidden_input_pattern": []}),
        ("23514", "forbidden_input_pattern_is_object", "b", {"forbidden_input_pattern": "x"}),
        ("23514", "when_unmet_is_valid", "b", {"when_unmet": "ignore"}),
        ("23514", "when_exhausted_is_valid", "b", {"when_exhausted": "retry"}),
    ],
)
def test_a_step_that_violates_a_constraint_is_refused_as_a_whole(
    flow: Connection, sqlstate: str, constraint: str, text: str, options: Row
) -> None:
    add_step(flow, "a")
    with refused(flow, sqlstate, f'constraint "{constraint}"'):
        add_step(flow, text, **options)
    assert value(flow, "select count(*) from pgflow.steps") == 1


def test_an_unknown_type_is_refused(flow: Connection) -> None:
    with refused(flow, "23514", "steps_step_type_check"):
        flow.execute("select pgflow.add_step('flow', 'a', step_type => 'loop')")


def test_an_unknown_flow_is_refused(connection: Connection) -> None:
    with refused(connection, "23503", "steps_flow_slug_fkey"):
        add_step(connection, "a")


def test_a_step_of_another_flow_is_no_parent(flow: Connection) -> None:
    define(flow, "a", flow="other")
    with refused(flow, "23503", "deps_flow_slug_dep_slug_fkey"):
        add_step(flow, "b < a")
