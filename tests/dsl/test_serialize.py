from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pgflow.errors import InvalidInput
from pgflow.serialize import DEFAULT_OUTPUT_LIMIT, ERROR_LIMIT, decode, describe_error, encode


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    y: Any = None


class Measurement(BaseModel):
    value: float
    unit: str = Field(default="m", alias="measuredIn")


class TolerantMeasurement(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    value: float


def refusal(value: object, **options: Any) -> str:
    with pytest.raises(InvalidInput) as refused:
        encode(value, **options)
    return str(refused.value)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.0, 10**40, -1.5, "grün 🌱", {"": [None, {"a": ""}]}])
def test_a_json_value_survives_encoding_and_decoding(value: object) -> None:
    decoded = decode(encode(value))
    assert (decoded, type(decoded)) == (value, type(value))


@pytest.mark.feature("A3.7")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), b'"2025-01-02T03:04:05Z"'),
        (date(2025, 1, 2), b'"2025-01-02"'),
        (timedelta(hours=1), b'"PT1H"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Decimal("0.10"), b'"0.10"'),
        (Colour.RED, b'"red"'),
        ({3}, b"[3]"),
        ((1, 2), b"[1,2]"),
        (Point(1.5), b'{"x":1.5,"y":null}'),
        (Measurement(value=1, measuredIn="km"), b'{"value":1.0,"measuredIn":"km"}'),
        ({1: "one"}, b'{"1":"one"}'),
        (b"text", b'"text"'),
    ],
)
def test_a_python_value_becomes_json(value: object, text: bytes) -> None:
    assert encode(value) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "\\u0000", {"NaN": "\\\\u0000"}])
def test_a_text_that_only_looks_refusable_is_stored(value: object) -> None:
    assert decode(encode(value)) == value


@pytest.mark.feature("A3.7", "A5.25")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "$: "),
        ({"a": [1, float("inf")]}, "$.a[1]: "),
        ({"a b": {"c": -float("inf")}}, '$["a b"].c: '),
        (Point(1.0, Point(float("nan"))), "$.y.x: "),
        ({"pages": [{"title": "a\0"}]}, "$.pages[0].title: "),
        ([Point(1, "\0")], "$[0].y: "),
        ({"a": {"b\0": 1}}, "$.a: key 'b\\x00'"),
        ({"a": ["\ud800"]}, "$.a[0]: "),
        ({"a": {"\udfff": 1}}, "$.a: key"),
        ({"a": [object()]}, "$.a[0]: object can't be stored"),
        ({"a": {object(): 1}}, "$.a: object can't be a key"),
        ({"a": b"\xff"}, "$.a: the bytes"),
        ({"a": {1: "x", "1": "y"}}, "$.a: keys 1 and '1' become the same text"),
        ([{None: 1, "None": 2}], "$[0]: keys None and 'None'"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_path(value: object, path: str) -> None:
    assert refusal(value).startswith(path)


def test_a_model_does_not_turn_nan_into_null() -> None:
    assert refusal({"m": [Measurement(value=float("nan"))]}).startswith("$.m[0].value: nan")


def test_a_model_that_says_how_to_write_nan_is_stored() -> None:
    assert encode(TolerantMeasurement(value=float("nan"))) == b'{"value":"NaN"}'


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = [value]
    assert refusal(value) == "$.self[0]: the value contains itself"


def test_the_same_object_twice_is_no_circle() -> None:
    shared = ["x"]
    assert encode([shared, shared]) == b'[["x"],["x"]]'


def test_a_value_of_254_levels_is_stored_and_read() -> None:
    value = nested(254)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("levels", [256, 400, 100_000])
def test_a_value_nested_too_deeply_is_refused(levels: int) -> None:
    assert "nested deeper than" in refusal(nested(levels))


def test_a_value_at_the_limit_is_stored_and_one_byte_more_is_not() -> None:
    assert len(encode("x" * 98, limit=100)) == 100
    assert refusal("x" * 99, limit=100).startswith("output is 101 bytes, more than the 100 bytes allowed;")


def test_a_value_that_is_too_large_names_its_largest_part() -> None:
    pages = {"result": {"pages": ["x" * 1024 * 1024] * 10, "title": "x"}}
    assert refusal(pages, limit=DEFAULT_OUTPUT_LIMIT) == (
        "output is 10.0 MB, more than the 8.0 MB allowed; the largest part is $.result.pages (10.0 MB); "
        "store it elsewhere and return a reference"
    )


def test_a_refusal_of_size_says_what_was_too_large() -> None:
    assert refusal(["x" * 5000], limit=2048, what="input").startswith("input is 4.9 kB, more than the 2.0 kB")


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "NaN", "Infinity", "[1] 2", '"\ud800"', "nul", "[" * 100_000])
def test_a_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="JSON"):
        decode(text)


def test_an_integer_of_any_size_is_exact() -> None:
    assert decode(b"[12345678901234567890123]") == [12345678901234567890123]


@pytest.mark.feature("A3.8")
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no good"), "ValueError: no good"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("a\0b\ud800"), "ValueError: a\ufffdb?"),
    ],
)
def test_an_error_is_described_by_type_and_message(error: Exception, text: str) -> None:
    assert describe_error(error) == text


def test_a_long_description_is_cut() -> None:
    assert len(describe_error(ValueError("x" * 50_000))) == ERROR_LIMIT


def test_an_error_without_a_working_message_is_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe_error(Broken()) == "Broken: its message can't be shown"
