"""What the parameters of a handler mean, and which are refused."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import pytest

from dsl.binding import bound, bound_map
from pgflow.errors import DefinitionError
from pgflow.handlers import Handler

if TYPE_CHECKING:
    from elsewhere import Context  # type: ignore[import-not-found]  # as users import it for annotations only


class TaskContext:
    __pgflow_context__ = True


def problems_of(handler: Handler, known: tuple[str, ...] = (), depends_on: tuple[str, ...] = ()) -> tuple[str, ...]:
    with pytest.raises(DefinitionError) as refused:
        bound(handler, known, depends_on)
    return refused.value.problems


# What parameters mean


def test_a_parameter_named_like_an_earlier_step_is_a_dependency() -> None:
    def step(website, summary): ...  # type: ignore[no-untyped-def]

    binding = bound(step, known=("website", "summary", "other"))
    assert binding.dependencies == ("website", "summary")
    assert binding.arguments({"website": 1, "summary": 2}, None, None) == {"website": 1, "summary": 2}


def test_declared_dependencies_come_first_and_are_joined_with_named_ones() -> None:
    def step(website, deps): ...  # type: ignore[no-untyped-def]

    binding = bound(step, known=("website", "summary"), depends_on=("summary", "website"))
    assert binding.dependencies == ("summary", "website")
    outputs = {"website": 1, "summary": 2}
    assert binding.arguments(outputs, None, None) == {"website": 1, "deps": outputs}


def test_a_root_step_s_one_other_parameter_is_the_flow_s_input() -> None:
    def step(page, ctx): ...  # type: ignore[no-untyped-def]

    binding = bound(step)
    assert (binding.dependencies, binding.wants_flow_input, binding.wants_context) == ((), True, True)
    context = object()
    assert binding.arguments({}, [1], context) == {"page": [1], "ctx": context}


def test_any_step_can_take_the_flow_s_input() -> None:
    def step(website, flow_input): ...  # type: ignore[no-untyped-def]

    assert bound(step, known=("website",)).arguments({"website": 1}, 2, None) == {"website": 1, "flow_input": 2}


def test_a_step_without_parameters_receives_nothing() -> None:
    def step() -> None: ...

    binding = bound(step)
    assert (binding.wants_flow_input, binding.arguments({}, 1, None)) == (False, {})


@pytest.mark.feature("A4.6")
def test_a_map_step_s_one_other_parameter_is_the_element() -> None:
    def step(link, ctx, flow_input): ...  # type: ignore[no-untyped-def]

    binding = bound_map(step, known=("links",), over="links")
    assert binding.dependencies == ("links",)
    assert binding.arguments("a", "input", None) == {"link": "a", "ctx": None, "flow_input": "input"}


def test_a_root_map_receives_elements_too() -> None:
    def step(number): ...  # type: ignore[no-untyped-def]

    binding = bound_map(step)
    assert (binding.dependencies, binding.wants_flow_input, binding.arguments(0, None, None)) == (
        (),
        False,
        {"number": 0},
    )


def by_annotation(context: TaskContext) -> None: ...
def by_optional_annotation(context: TaskContext | None) -> None: ...
def by_annotated_annotation(context: Annotated[TaskContext, "x"]) -> None: ...
def by_name_of_an_unknown_class(context: Context) -> None: ...
def by_text_of_an_unknown_class(context: elsewhere.Context | None) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def by_name(ctx: int) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        by_annotation,
        by_optional_annotation,
        by_annotated_annotation,
        by_name_of_an_unknown_class,
        by_text_of_an_unknown_class,
        by_name,
    ],
)
def test_the_context_is_recognised(handler: Handler) -> None:
    binding = bound(handler)
    binding.prepare()
    assert (binding.wants_context, binding.wants_flow_input) == (True, False)


@pytest.mark.parametrize("value", [0, False, "", None, [], {}])
def test_a_falsy_value_is_a_value(value: object) -> None:
    def step(website=5, flow_input=5): ...  # type: ignore[no-untyped-def]

    arguments = bound(step, known=("website",)).arguments({"website": value}, value, None)
    assert arguments == {"website": value, "flow_input": value}


def test_a_parameter_with_a_default_that_means_nothing_is_left_alone() -> None:
    def step(website, retries=3, *rest, verbose=False, **more): ...  # type: ignore[no-untyped-def]

    assert bound(step, known=("website",)).arguments({"website": 1}, None, None) == {"website": 1}


def test_a_required_parameter_is_the_input_before_one_with_a_default() -> None:
    def step(page, retries=3): ...  # type: ignore[no-untyped-def]

    assert bound(step).arguments({}, "input", None) == {"page": "input"}


def test_a_sole_parameter_with_a_default_is_the_input() -> None:
    def step(page=None): ...  # type: ignore[no-untyped-def]

    assert bound(step).arguments({}, "input", None) == {"page": "input"}


def test_what_a_partial_has_set_is_not_bound_again() -> None:
    def step(website, summary, mode): ...  # type: ignore[no-untyped-def]

    binding = bound(functools.partial(step, mode="x", summary="set"), known=("website", "summary"))
    assert (binding.dependencies, binding.arguments({"website": 1}, None, None)) == (("website",), {"website": 1})


# What is refused


def test_an_unknown_parameter_is_named_with_the_known_steps() -> None:
    def step(website, webiste): ...  # type: ignore[no-untyped-def]

    assert problems_of(step, known=("website", "summary")) == (
        "step 'step': parameter 'webiste' is neither an earlier step, nor `deps`, `ctx` or `flow_input`, nor a root "
        "step's only other parameter; known steps: website, summary",
    )


def test_two_other_parameters_of_a_root_step_are_both_refused() -> None:
    def step(one, two): ...  # type: ignore[no-untyped-def]

    assert len(problems_of(step)) == 2


def test_all_dependencies_need_a_declaration() -> None:
    def step(deps): ...  # type: ignore[no-untyped-def]

    assert "needs depends_on" in problems_of(step, known=("website",))[0]


def test_a_positional_only_parameter_is_refused() -> None:
    def step(page, /): ...  # type: ignore[no-untyped-def]

    assert "'page' is positional-only" in problems_of(step)[0]


def test_a_wrapper_that_hides_the_parameters_is_refused() -> None:
    def step(*args, **kwargs): ...  # type: ignore[no-untyped-def]

    assert "(*args, **kwargs) have no names to bind" in problems_of(step)[0]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("links", "'links' is named like a step, but receives one element of 'links'; rename the parameter"),
        ("one, two", "'two' is one too many"),
        ("deps", "'deps': a map step receives one element"),
    ],
)
def test_a_map_step_takes_one_element_only(parameters: str, problem: str) -> None:
    handler: Handler = eval(f"lambda {parameters}: None")  # the parameters are the test's cases
    with pytest.raises(DefinitionError) as refused:
        bound_map(handler, known=("links",), over="links")
    assert any(problem in found for found in refused.value.problems)


def test_a_root_map_over_a_step_s_name_says_how_to_map_over_the_step() -> None:
    with pytest.raises(DefinitionError, match=r"write over='links'"):
        bound_map(lambda links: None, known=("links",))
