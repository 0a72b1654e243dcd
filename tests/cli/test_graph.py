"""`pgflow graph`."""

from __future__ import annotations

import pytest

FLOWS = """
from pgflow import Flow

shop = Flow("shop")

@shop.step
def order(number): ...

@shop.map(over=order)
def pack(item): ...

@shop.step
def total(order): ...

@shop.step
def bill(pack, total): ...

other = Flow("other")

@other.step
def only(x): ...

flows = [shop, other]
empty = Flow("empty")
"""


@pytest.fixture
def shop(write_module) -> str:
    write_module("shop_module", FLOWS)
    return "shop_module"


def test_a_flow_of_a_module_is_drawn_without_a_database(pgflow, shop, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    ended = pgflow("graph", f"{shop}:shop")
    assert (ended.code, ended.errors) == (0, "")
    assert ended.output.startswith("shop\n")
    assert all(word in ended.output for word in ("order", "pack", "total", "bill"))


def test_a_flow_of_the_database_is_drawn_as_the_one_of_the_module(pgflow, shop, url):
    pgflow("compile", f"{shop}:flows")
    for form in ("text", "mermaid", "dot"):
        drawn = pgflow("graph", "other", "--format", form)
        assert (drawn.code, drawn.output) == (0, pgflow("graph", f"{shop}:other", "-f", form).output)


@pytest.mark.parametrize(("form", "word"), [("text", "shop\n"), ("mermaid", "flowchart TD"), ("dot", 'digraph "shop"')])
def test_each_flow_of_an_application_is_drawn(pgflow, shop, form, word):
    ended = pgflow("graph", f"{shop}:flows", "--format", form)
    assert ended.output.startswith(word)
    assert "only" in ended.output
    assert "only" not in pgflow("graph", f"{shop}:flows", "--format", form, "--flow", "shop").output


def test_a_graph_is_told_as_json(pgflow, shop):
    drawn = pgflow("graph", f"{shop}:shop", "--json").json
    assert drawn["flow_slug"] == "shop"
    assert [step["slug"] for step in drawn["steps"]] == ["order", "pack", "total", "bill"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unknown"], "flow 'unknown' is not in the database; register it with `pgflow compile APP`"),
        (["nowhere:app"], "no module 'nowhere'"),
        (["shop_module:flows", "--flow", "gone"], "no flow 'gone' in the application; flows: shop, other"),
    ],
)
def test_a_flow_that_is_not_there_is_named(pgflow, shop, url, arguments, message):
    ended = pgflow("graph", *arguments)
    assert (ended.code, ended.output) == (2, "")
    assert message in ended.errors
