"""Inputs that flows would take."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from pgflow import Flow
from pgflow.cli.samples import sample_input


class Colour(Enum):
    RED = "red"


class Item(BaseModel):
    name: str
    colour: Colour
    price: float | None
    note: str = "none"


class Order(BaseModel):
    number: int = Field(examples=[7])
    items: list[Item]
    at: datetime
    key: UUID
    kind: Literal["new", "old"]
    pair: tuple[int, str]


class Tree(BaseModel):
    children: list[Tree]


def flow_of(annotation: Any) -> Flow:
    flow = Flow("sample")

    def only(value: Any) -> int:
        return 0

    only.__annotations__["value"] = annotation
    flow.step(only)
    return flow


@pytest.mark.parametrize(
    "kind", [int, str, bool, float, list[int], dict, dict[str, int], Order, list[Order], Annotated[int, Field(ge=5)]]
)
def test_the_sample_is_what_the_step_takes(kind):
    TypeAdapter(kind).validate_json(sample_input(flow_of(kind)))


def test_it_uses_examples_and_leaves_out_what_has_a_default():
    text = sample_input(flow_of(Order))
    assert '"number":7' in text
    assert "note" not in text


@pytest.mark.parametrize("kind", [Any, object, Tree, Annotated[str, Field(pattern="^x{9}$")]])
def test_where_nothing_fits_it_is_an_empty_object(kind):
    assert sample_input(flow_of(kind)) == "{}"


def test_the_input_type_of_the_flow_comes_first():
    flow = Flow("typed", input=Order)

    @flow.step
    def only(value: dict) -> int:
        return 0

    assert Order.model_validate_json(sample_input(flow))


def test_a_root_map_takes_a_list():
    flow = Flow("each")

    @flow.map
    def only(value: int) -> int:
        return value

    assert sample_input(flow) == "[1]"


def test_without_annotations_it_is_an_empty_object():
    flow = Flow("plain")

    @flow.step
    def only(value):
        return value

    assert sample_input(flow) == "{}"
