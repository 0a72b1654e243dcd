from __future__ import annotations

from typing import Any

import pytest

from pgflow.graph import (
    FlowShape,
    StepShape,
    differences,
    dot,
    is_valid_slug,
    mermaid,
    problems,
    text,
    to_json,
    to_sql,
)


def flow(*steps: StepShape, **options: Any) -> FlowShape:
    return FlowShape("analyse", steps, **options)


WEBSITE = StepShape("website")
SUMMARY = StepShape("summary", dependencies=("website",))


@pytest.mark.parametrize("slug", ["a", "_", "Run", "a1_B", "x" * 128])
def test_a_slug_is_valid(slug: str) -> None:
    assert is_valid_slug(slug)


@pytest.mark.parametrize("slug", ["", "run", "1a", "a-b", "a b", "ä", "a\n", "٣", "a.b", "x" * 129, None, 5])
def test_a_slug_is_not_valid(slug: object) -> None:
    assert not is_valid_slug(slug)


def test_a_good_flow_has_no_problems() -> None:
    conditional = StepShape("save", dependencies=("summary",), required_input_pattern={}, when_unmet="skip-cascade")
    over = StepShape("check", "map", ("website",), base_delay=0, start_delay=0, when_exhausted="skip")
    assert problems(flow(WEBSITE, SUMMARY, conditional, over)) == []


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (flow(), "flow 'analyse' has no steps; a flow needs at least one"),
        (FlowShape("x" * 48, (WEBSITE,)), "is 48 characters long, more than 47"),
        (FlowShape("run", (WEBSITE,)), "flow slug 'run' is reserved"),
        (flow(WEBSITE, max_attempts=0), "flow 'analyse': max_attempts must be from 1 to 2147483647, not 0"),
        (flow(WEBSITE, base_delay=True), "flow 'analyse': base_delay must be an integer, not True"),
        (flow(WEBSITE, timeout=1.5), "flow 'analyse': timeout must be an integer, not 1.5"),
        (flow(WEBSITE, timeout=2**31), "timeout must be from 1 to 2147483647"),
        (flow(StepShape("run")), "step slug 'run' is reserved"),
        (flow(StepShape("1st")), "step slug '1st' starts with a digit"),
        (flow(StepShape("a-b")), "may hold ASCII letters, digits and underscores only"),
        (flow(StepShape("x" * 129)), "is 129 characters long, more than 128"),
        (flow(WEBSITE, WEBSITE), "step 'website': the flow has a step of this slug already"),
        (flow(SUMMARY), "depends on 'website', which is no step of the flow; known steps: none"),
        (flow(SUMMARY, WEBSITE), "depends on 'website', which is declared later; declare it first"),
        (flow(StepShape("a", dependencies=("a",))), "step 'a': depends on itself"),
        (flow(WEBSITE, StepShape("a", dependencies=("website",) * 2)), "depends on 'website' more than once"),
        (
            flow(WEBSITE, SUMMARY, StepShape("m", "map", ("website", "summary"))),
            "step 'm': a map step runs over one step, not over website, summary",
        ),
        (flow(StepShape("a", start_delay=-1)), "start_delay must be from 0 to 2147483647, not -1"),
        (flow(StepShape("a", max_attempts=0)), "step 'a': max_attempts must be from 1"),
        (flow(StepShape("a", when_unmet="skip")), "when_unmet has no effect without if_ or if_not"),
        (flow(StepShape("a", when_exhausted="stop")), "when_exhausted must be 'fail' or 'skip' or 'skip-cascade'"),  # type: ignore[arg-type]
        (flow(StepShape("a", "loop")), "step_type must be 'single' or 'map', not 'loop'"),  # type: ignore[arg-type]
        (flow(StepShape("a", required_input_pattern=[1])), "if_ must be an object (a dict), not list"),  # type: ignore[arg-type]
        (flow(StepShape("a", forbidden_input_pattern={"x": {1, 2}})), "if_not holds a set at $['x']"),
        (flow(StepShape("a", required_input_pattern={"x": [float("nan")]})), "holds nan at $['x'][0]"),
        (flow(StepShape("a", required_input_pattern={1: 1})), "has the key 1 at $"),  # type: ignore[dict-item]
        (flow(StepShape("a", required_input_pattern={"x": "\0"})), "can't store"),
    ],
)
def test_a_problem_is_found(shape: FlowShape, problem: str) -> None:
    assert any(problem in found for found in problems(shape)), problems(shape)


def test_all_problems_are_found_at_once() -> None:
    assert len(problems(flow(StepShape("run", timeout=0, when_unmet="fail"), SUMMARY, max_attempts=-1))) == 5


def test_a_cycle_is_shown_as_a_path() -> None:
    cyclic = flow(
        StepShape("start"),
        StepShape("a", dependencies=("c", "start")),
        StepShape("b", dependencies=("a",)),
        StepShape("c", dependencies=("b",)),
        StepShape("behind", dependencies=("c",)),
    )
    assert [found for found in problems(cyclic) if "cycle" in found] == [
        "steps depend on each other in a cycle: a -> c -> b -> a"
    ]


def test_two_cycles_are_both_shown() -> None:
    pairs = [StepShape(slug, dependencies=(other,)) for slug, other in ("ab", "ba", "cd", "dc")]
    assert sum("cycle" in found for found in problems(flow(*pairs))) == 2


def test_the_json_form_has_the_keys_of_the_contract() -> None:
    step = StepShape("b", "map", ("a",), timeout=0, required_input_pattern={"x": 1}, when_unmet="fail")
    assert to_json(flow(StepShape("a"), step)) == {
        "options": {"maxAttempts": 3, "baseDelay": 1, "timeout": 60},
        "steps": [
            {
                "slug": "a",
                "stepType": "single",
                "dependencies": [],
                "whenUnmet": "skip",
                "whenExhausted": "fail",
                "requiredInputPattern": {"defined": False},
                "forbiddenInputPattern": {"defined": False},
                "options": {},
            },
            {
                "slug": "b",
                "stepType": "map",
                "dependencies": ["a"],
                "whenUnmet": "fail",
                "whenExhausted": "fail",
                "requiredInputPattern": {"defined": True, "value": {"x": 1}},
                "forbiddenInputPattern": {"defined": False},
                "options": {"timeout": 0},
            },
        ],
    }


def test_the_order_of_dependencies_makes_no_difference() -> None:
    one, other = (StepShape("c", dependencies=names) for names in (("a", "b"), ("b", "a")))
    assert differences(flow(one), flow(other)) == []


def test_a_number_of_another_type_makes_no_difference_but_a_boolean_does() -> None:
    one, two, three = (flow(StepShape("a", required_input_pattern={"x": value})) for value in (1, 1.0, True))
    assert differences(one, two) == []
    assert differences(one, three) == [
        'Step at index 0: requiredInputPattern differs \'{"value": {"x": 1}, "defined": true}\' '
        'vs \'{"value": {"x": true}, "defined": true}\''
    ]


def test_a_shape_of_an_older_client_equals_one_without_conditions() -> None:
    assert differences({"steps": [{"slug": "website", "stepType": "single", "dependencies": []}]}, flow(WEBSITE)) == []


DRAWN = flow(
    WEBSITE,
    SUMMARY,
    StepShape("check_link", "map", ("website",), when_exhausted="skip"),
    StepShape("end", dependencies=("summary", "check_link"), required_input_pattern={"a": '"<b>"'}, when_unmet="fail"),
)


def test_the_terminal_drawing_shows_layers_maps_and_conditions() -> None:
    assert text(DRAWN).splitlines() == [
        "analyse",
        "  website",
        "  ├─ summary",
        "  └─ check_link ◀ each of website",
        "       when exhausted: skip",
        "  end           ◀ summary, check_link",
        '    if {"a": "\\"<b>\\""}, else fail',
    ]


def test_a_chain_is_drawn_without_arrows() -> None:
    chain = [StepShape(f"step_{n}", dependencies=(f"step_{n - 1}",) if n else ()) for n in range(30)]
    assert text(flow(*chain)).splitlines() == ["analyse", *(f"  step_{n}" for n in range(30))]


def test_what_does_not_wait_for_the_step_above_alone_says_for_what_it_waits() -> None:
    drawn = flow(
        StepShape("a"),
        StepShape("b"),
        StepShape("c", dependencies=("a",)),
        StepShape("d", dependencies=("a", "b")),
        StepShape("e", dependencies=("c", "d")),
        StepShape("f", dependencies=("d",)),
    )
    assert text(drawn).splitlines() == [
        "analyse",
        "  ├─ a",
        "  │  c",
        "  └─ b",
        "  d    ◀ a, b",
        "  f",
        "  e    ◀ c, d",
    ]


def test_a_flow_without_steps_is_its_name() -> None:
    assert text(flow()) == "analyse\n"


def test_a_root_map_is_drawn_over_the_flow_s_input() -> None:
    assert "◀ each of the flow's input" in text(flow(StepShape("m", "map")))


def test_a_terminal_drawing_is_at_most_80_columns_wide() -> None:
    slugs = [f"{'x' * 120}{index}" for index in range(9)]
    wide = {"名前": "漢字" * 80}
    last = StepShape("l" * 128, dependencies=tuple(slugs), required_input_pattern=wide, forbidden_input_pattern=wide)
    drawing = text(flow(*map(StepShape, slugs), last, StepShape("m" * 128, "map", ("l" * 128,))))
    columns = [sum(2 if character > "\u2fff" else 1 for character in line) for line in drawing.splitlines()]
    assert max(columns) <= 80


def test_mermaid_names_nodes_so_that_words_of_the_language_are_safe() -> None:
    assert mermaid(DRAWN).splitlines() == [
        "flowchart TD",
        '    step0["website"]',
        '    step1["summary"]',
        '    step2[["check_link<br/>when exhausted: skip"]]',
        '    step3["end<br/>if {#34;a#34;: #34;#92;#34;#60;b#62;#92;#34;#34;}, else fail"]',
        "    step0 --> step1",
        "    step0 -->|each| step2",
        "    step1 --> step3",
        "    step2 --> step3",
    ]


def test_dot_quotes_what_it_shows() -> None:
    assert dot(DRAWN).splitlines() == [
        'digraph "analyse" {',
        "    node [shape=box];",
        '    "website" [label="website"];',
        '    "summary" [label="summary"];',
        '    "check_link" [label="check_link\\nwhen exhausted: skip", shape=box3d];',
        '    "end" [label="end\\nif {\\"a\\": \\"\\\\\\"<b>\\\\\\"\\"}, else fail"];',
        '    "website" -> "summary";',
        '    "website" -> "check_link" [label="each"];',
        '    "summary" -> "end";',
        '    "check_link" -> "end";',
        "}",
    ]


def test_statements_name_all_options_of_the_flow_and_only_the_set_ones_of_steps() -> None:
    assert to_sql(flow(WEBSITE, StepShape("m", "map", ("website",), start_delay=0))) == [
        "SELECT pgflow.create_flow('analyse', max_attempts => 3, base_delay => 1, timeout => 60);",
        "SELECT pgflow.add_step('analyse', 'website');",
        "SELECT pgflow.add_step('analyse', 'm', ARRAY['website'], start_delay => 0, step_type => 'map');",
    ]
