"""What values handlers receive, what of their results is stored, and what stands for skipped steps."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from dsl.binding import bound, bound_map
from pgflow.binding import Binding
from pgflow.errors import DefinitionError, InvalidInput
from pgflow.handlers import Handler


class Page(BaseModel):
    title: str
    links: list[str] = []


class StrictPage(BaseModel):
    model_config = ConfigDict(strict=True)
    page_id: UUID


class PageDict(TypedDict):
    title: str


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    at: datetime


def refusal(binding: Binding, task_input: object, flow_input: object = None) -> str:
    with pytest.raises(InvalidInput) as refused:
        binding.arguments(task_input, flow_input, None)
    return str(refused.value)


# Types


def typed(  # type: ignore[no-untyped-def]
    page: Page,
    page_dict: PageDict,
    point: Point,
    when: datetime | str,
    identity: UUID,
    amount: Decimal,
    colour: Colour,
    tags: set[str],
    strict: StrictPage,
    plain,
) -> None: ...


def test_values_arrive_as_their_annotations_say() -> None:
    outputs: dict[str, Any] = {
        "page": {"title": "x"},
        "page_dict": {"title": "x"},
        "point": {"x": 1, "at": "2025-01-02T03:04:05"},
        "when": "2025-01-02T03:04:05",
        "identity": "00000000-0000-0000-0000-000000000001",
        "amount": "0.10",
        "colour": "red",
        "tags": ["a", "a"],
        "strict": {"page_id": "00000000-0000-0000-0000-000000000001"},
        "plain": {"x": ["2025-01-02"]},
    }
    assert bound(typed, known=tuple(outputs)).arguments(outputs, None, None) == {
        "page": Page(title="x"),
        "page_dict": {"title": "x"},
        "point": Point(1.0, datetime(2025, 1, 2, 3, 4, 5)),
        "when": datetime(2025, 1, 2, 3, 4, 5),
        "identity": UUID(int=1),
        "amount": Decimal("0.10"),
        "colour": Colour.RED,
        "tags": {"a"},
        "strict": StrictPage(page_id=UUID(int=1)),
        "plain": {"x": ["2025-01-02"]},
    }


def test_a_value_that_does_not_fit_is_refused_with_the_path_of_the_field() -> None:
    def step(website: dict[str, list[Page]]) -> None: ...

    binding = bound(step, known=("website",))
    assert refusal(binding, {"website": {"a b": [{"title": "x"}, {"title": 1}]}}) == (
        'website["a b"][1].title: Input should be a valid string'
    )


def test_the_flow_s_input_and_elements_are_validated_too() -> None:
    def step(page: Page) -> None: ...

    assert refusal(bound(step), {}, {"titel": "x"}) == "page.title: Field required"
    assert refusal(bound_map(step), 5).startswith("page: Input should be")


def test_many_faults_are_counted() -> None:
    def step(flow_input: list[int]) -> None: ...

    assert refusal(bound(step), {}, ["x"] * 9).endswith(
        "flow_input[4]: Input should be a valid integer, unable to parse string as an integer; and 4 more"
    )


def test_a_huge_integer_is_exact() -> None:
    def step(number: int) -> None: ...

    assert bound(step).arguments({}, 10**30, None) == {"number": 10**30}


def test_a_class_may_be_defined_after_the_handler() -> None:
    def step(later: Later) -> Later: ...  # type: ignore[empty-body]

    assert bound(step).arguments({}, {"x": 1}, None) == {"later": Later(x=1)}


class Later(BaseModel):
    x: int


def test_annotations_of_methods_callable_objects_wrappers_and_partials_are_read() -> None:
    class Handlers:
        def method(self, page: Page) -> None: ...

        def __call__(self, page: Page) -> None: ...

    def function(page: Page, mode: str) -> None: ...

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    handlers: list[Handler] = [Handlers().method, Handlers(), functools.partial(function, mode="x")]
    handlers += [functools.partial(wrapper, mode="x"), functools.partial(Handlers())]
    for handler in handlers:
        assert bound(handler).arguments({}, {"title": "x"}, None) == {"page": Page(title="x")}


def test_annotations_that_cannot_be_used_are_all_listed() -> None:
    class Opaque: ...

    def step(page: Pgae, opaque: set[Page | Lock], *, flow_input: "5") -> Missing: ...  # type: ignore[name-defined, valid-type]  # noqa: F821, UP037

    step.__annotations__["opaque"] = Opaque
    with pytest.raises(DefinitionError) as refused:
        bound(step, known=("page", "opaque")).prepare()
    found = refused.value.problems
    assert len(found) == 4
    assert found[0].startswith("step 'step': the annotation of parameter 'page' names 'Pgae', which is not defined")
    assert "parameter 'opaque'" in found[1]
    assert "can't be validated" in found[1]
    assert "the return value names 'Missing'" in found[3]


# Skipped dependencies


def test_a_skipped_dependency_keeps_the_default() -> None:
    def step(website, summary="none"): ...  # type: ignore[no-untyped-def]

    binding = bound(step, known=("website", "summary"))
    assert binding.dependencies == ("website", "summary")
    assert binding.arguments({"website": 1}, None, None) == {"website": 1}


def test_a_skipped_dependency_is_none_where_the_annotation_allows_it() -> None:
    def step(website: Page | None, summary): ...  # type: ignore[no-untyped-def]

    assert bound(step, known=("website", "summary")).arguments({}, None, None) == {"website": None, "summary": None}


def test_a_skipped_dependency_fails_the_task_where_nothing_can_stand_for_it() -> None:
    def step(website: Page) -> None: ...

    assert refusal(bound(step, known=("website",)), {}) == (
        "website: step 'website' was skipped; give the parameter a default, or let its annotation allow None"
    )


# Results


def test_a_result_without_annotation_is_stored_as_it_is() -> None:
    assert bound(lambda: None).encode({"page": Page(title="x")}) == b'{"page":{"title":"x","links":[]}}'


def test_a_result_is_validated_against_its_annotation() -> None:
    def step() -> list[Page]: ...  # type: ignore[empty-body]

    assert bound(step).encode([{"title": "x"}]) == b'[{"title":"x","links":[]}]'
    with pytest.raises(InvalidInput, match=r"^output\[0\]\.title: Field required$"):
        bound(step).encode([{}])


def test_a_handler_annotated_with_none_must_return_none() -> None:
    def step() -> None: ...

    assert bound(step).encode(None) == b"null"
    with pytest.raises(InvalidInput, match="output: Input should be None"):
        bound(step).encode(0)


def test_a_handler_that_only_raises_may_say_so() -> None:
    def step() -> NoReturn:
        raise RuntimeError

    bound(step).prepare()


def test_an_iterable_is_stored_as_a_list() -> None:
    def step() -> Iterable[int]: ...  # type: ignore[empty-body]

    assert bound(step).encode(iter([1, 2])) == b"[1,2]"


def test_what_goes_out_of_a_model_with_aliases_comes_back_in() -> None:
    class Aliased(BaseModel):
        page_title: str = Field(alias="pageTitle")

    def step(website): ...  # type: ignore[no-untyped-def]

    step.__annotations__ = {"website": Aliased, "return": Aliased}
    binding = bound(step, known=("website",))
    page = Aliased(pageTitle="x")
    assert binding.encode(page) == b'{"pageTitle":"x"}'
    assert binding.arguments({"website": {"pageTitle": "x"}}, None, None) == {"website": page}


def test_a_result_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^output is 8\.0 MB, more than the 8\.0 MB allowed"):
        bound(lambda: None).encode("x" * 8 * 1024 * 1024)
