"""Flows that name what they take and what their runs give; values of all kinds through real runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # the one that pydantic takes on every version of Python

from pgflow import Context, DefinitionError, Flow, InvalidInput, PgFlow, Worker


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Mixed(Enum):
    ONE = 1
    TEXT = "text"


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list)


class Options(TypedDict, total=False):
    dry: bool
    since: date


class Pair(NamedTuple):
    left: int
    right: Decimal


class Everything(BaseModel):
    when: datetime
    day: date
    at: time
    age: timedelta
    id: UUID
    amount: Decimal
    colour: Colour
    level: Level
    mixed: list[Mixed]
    point: Point
    options: Options
    pair: Pair
    names: set[str]
    by_id: dict[UUID, Point]
    kind: Literal["a", "b"]
    either: datetime | int | str
    nothing: None
    huge: int
    aliased: int = Field(alias="alias-ed")


EVERYTHING = Everything.model_validate(
    {
        "when": datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC),
        "day": date(1, 1, 1),
        "at": time(23, 59, 59, 999999),
        "age": timedelta(days=-3, microseconds=7),
        "id": UUID(int=7),
        "amount": Decimal("1234567890.1234567890"),
        "colour": Colour.RED,
        "level": Level.HIGH,
        "mixed": [Mixed.ONE, Mixed.TEXT],
        "point": Point(1, ["ü", ""]),
        "options": Options(dry=False, since=date(2024, 1, 1)),
        "pair": Pair(0, Decimal("-0.10")),
        "names": {"a", "b"},
        "by_id": {UUID(int=1): Point(2)},
        "kind": "b",
        "either": datetime(2024, 1, 1, tzinfo=UTC),
        "nothing": None,
        "huge": 2**200,
        "alias-ed": 5,
    }
)


class Last(TypedDict):
    last: int


class Lasts(TypedDict):
    last: list[int]


class Output(BaseModel):
    again: Everything
    spread: list[Point]


everything = Flow("everything", input=Everything, output=Output)


@everything.step
async def first(given: Everything) -> Everything:
    assert given == EVERYTHING
    return given


@everything.step
def again(first: Everything, ctx: Context) -> Everything:
    assert first == EVERYTHING
    return first


@everything.step
def points(first: Everything) -> list[Point]:
    return [first.point, Point(-1)]


@everything.map(over=points)
def spread(point: Point) -> Point:
    return Point(point.x * 2, point.tags)


@pytest.mark.feature("A3.7", "A1.4")
async def test_values_of_all_kinds_come_through_a_run_as_they_were(shared_url: str) -> None:
    async with PgFlow(shared_url) as app:
        worker = Worker(app, [everything])
        await worker.start()
        run = await app.start_flow(everything, EVERYTHING)
        output = await run.result(timeout=30)
        assert output == Output(again=EVERYTHING, spread=[Point(2, ["ü", ""]), Point(-2)])
        assert isinstance(output.again.mixed[0], Mixed)
        assert isinstance(run.output, dict)
        await worker.stop()


typed = Flow("typed", input=Point, output=Last)


@typed.step
def last(point: Point) -> Any:
    return point.x


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": "one"}, r"input\.x: Input should be a valid integer"),
        ({}, r"input\.x: Field required"),
        (None, "input: "),
        ([1], "input: "),
        (5, "input: "),
    ],
)
async def test_an_input_of_another_type_is_refused_with_its_field(client: Any, value: Any, message: str) -> None:
    await client.ensure_compiled(typed)
    for call, argument in ((client.start_flow, value), (client.start_flows, [Point(1), value])):
        with pytest.raises(InvalidInput, match=message):
            await call(typed, argument)
    assert await client.count_runs() == 0


async def test_plain_data_that_fits_is_an_input_too(client: Any) -> None:
    await client.ensure_compiled(typed)
    assert (await client.start_flow(typed, {"x": "7"})).input == {"x": 7, "tags": []}


async def test_an_input_by_slug_is_not_checked(client: Any) -> None:
    await client.ensure_compiled(typed)
    assert (await client.start_flow("typed", "anything")).input == "anything"


async def test_an_output_of_another_type_is_refused_with_its_field(shared_url: str) -> None:
    wrong = Flow("typed", output=Lasts)
    wrong.step(last)
    async with PgFlow(shared_url) as app:
        worker = Worker(app, [wrong])
        await worker.start()
        run = await app.start_flow(wrong, {"x": 1})
        with pytest.raises(InvalidInput, match=r"output\.last: Input should be a valid array"):
            await run.result(timeout=30)
        assert run.output == {"last": 1}
        await worker.stop()


@pytest.mark.parametrize("option", ["input", "output"])
@pytest.mark.parametrize("kind", [5, "NoSuchType", object(), type(lambda: None)])
def test_what_is_no_type_is_refused_at_the_declaration(option: str, kind: Any) -> None:
    with pytest.raises(DefinitionError, match=f"{option} of flow 'x': values of .* can't be validated"):
        Flow("x", **{option: kind})
