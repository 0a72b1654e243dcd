"""A graph as lines from top to bottom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.graph import outline


def drawn(**dependencies: str) -> list[str]:
    return [lead + step for lead, step in outline({step: needs.split() for step, needs in dependencies.items()})]


def test_no_steps_are_no_lines() -> None:
    assert drawn() == []


def test_a_chain_is_not_indented() -> None:
    assert drawn(a="", b="a", c="b") == ["a", "b", "c"]


def test_steps_that_start_together_are_branches() -> None:
    assert drawn(a="", b="", c="") == ["├─ a", "├─ b", "└─ c"]


def test_what_joins_branches_is_back_where_they_began() -> None:
    assert drawn(a="", b="a", c="a", d="b c", e="d") == ["a", "├─ b", "└─ c", "d", "e"]


def test_what_follows_in_a_branch_stays_in_it() -> None:
    assert drawn(a="", b="a", c="b", d="a", e="c d") == ["a", "├─ b", "│  c", "└─ d", "e"]


def test_branches_have_branches() -> None:
    assert drawn(a="", b="a", c="a", d="b", e="b", f="d e", g="c f") == [
        "a",
        "├─ b",
        "│  ├─ d",
        "│  └─ e",
        "│  f",
        "└─ c",
        "g",
    ]


def test_the_order_of_declaration_does_not_matter_where_dependencies_say_otherwise() -> None:
    assert drawn(d="b c", c="a", b="a", a="") == ["a", "├─ c", "└─ b", "d"]


@pytest.mark.parametrize("dependencies", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["unknown"]}])
def test_what_is_no_graph_without_circles_is_listed_all_the_same(dependencies: dict[str, list[str]]) -> None:
    assert sorted(step for _, step in outline(dependencies)) == sorted(dependencies)


def test_a_long_chain_is_no_trouble() -> None:
    chain = {f"step_{n}": [f"step_{n - 1}"] if n else [] for n in range(2_000)}
    assert outline(chain) == [("", step) for step in chain]


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=12))
def test_each_step_is_there_once_and_behind_what_it_waits_for(needs: list[set[int]]) -> None:
    dependencies = {str(n): [str(each) for each in found if each < n] for n, found in enumerate(needs)}
    order = [step for _, step in outline(dependencies)]
    assert sorted(order) == sorted(dependencies)
    places = {step: place for place, step in enumerate(order)}
    assert all(places[need] < places[step] for step, found in dependencies.items() for need in found)
