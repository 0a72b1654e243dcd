from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pgflow.errors import DefinitionError, InvalidInput, StepNotFound
from pgflow.flow import Flow
from pgflow.graph import StepShape


def website(page): ...  # type: ignore[no-untyped-def]


def problems_of(flow: Flow, handler: Any = website, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DefinitionError) as refused:
        flow.step(handler, **options)
    return refused.value.problems


def map_problems_of(flow: Flow, handler: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DefinitionError) as refused:
        flow.map(handler, **options)
    return refused.value.problems


@pytest.fixture
def flow() -> Flow:
    """A flow with the one step `website`."""
    flow = Flow("analyse")
    flow.step(website)
    return flow


# Declaring


@pytest.mark.feature("A4.4")
def test_a_flow_is_declared_with_decorators() -> None:
    flow = Flow("analyze_website", max_attempts=3, base_delay=5, timeout=60)

    @flow.step
    async def website(page): ...  # type: ignore[no-untyped-def]

    @flow.step
    def summary(website): ...  # type: ignore[no-untyped-def]

    @flow.step(timeout=30, max_attempts=5)
    async def sentiment(website, ctx): ...  # type: ignore[no-untyped-def]

    @flow.step(depends_on=[sentiment, "summary"], if_={"summary": "x"}, when_unmet="skip-cascade")
    def save(deps, ctx): ...  # type: ignore[no-untyped-def]

    @flow.map(over=website, when_exhausted="skip")
    def check_link(link): ...  # type: ignore[no-untyped-def]

    @flow.map
    def double(number): ...  # type: ignore[no-untyped-def]

    assert flow.flow_shape.steps == (
        StepShape("website"),
        StepShape("summary", dependencies=("website",)),
        StepShape("sentiment", dependencies=("website",), timeout=30, max_attempts=5),
        StepShape(
            "save",
            dependencies=("sentiment", "summary"),
            required_input_pattern={"summary": "x"},
            when_unmet="skip-cascade",
        ),
        StepShape("check_link", "map", ("website",), when_exhausted="skip"),
        StepShape("double", "map"),
    )
    assert [step.is_async for step in flow.steps.values()] == [True, False, True, False, False, False]


@pytest.mark.feature("A4.19")
def test_a_decorated_function_stays_itself() -> None:
    flow = Flow("analyse")

    def double(number: int) -> int:
        return 2 * number

    assert flow.step(double) is double
    assert flow.step(slug="again")(double) is double
    assert flow.map(slug="each")(double) is double


@pytest.mark.feature("A4.3")
def test_the_flow_s_options_are_three_attempts_one_second_and_sixty_seconds() -> None:
    assert Flow("analyse").options == {"max_attempts": 3, "base_delay": 1, "timeout": 60}


@pytest.mark.feature("A4.4")
def test_options_of_zero_are_kept() -> None:
    flow = Flow("analyse", base_delay=0)
    flow.step(website, base_delay=0, start_delay=0)
    assert flow.shape["options"]["baseDelay"] == 0
    assert flow.shape["steps"][0]["options"] == {"baseDelay": 0, "startDelay": 0}


def test_a_slug_can_differ_from_the_function_s_name(flow: Flow) -> None:
    flow.step(website, slug="other")
    assert list(flow.steps) == ["website", "other"]


def test_steps_cannot_be_added_behind_the_flow_s_back(flow: Flow) -> None:
    with pytest.raises(TypeError):
        flow.steps["other"] = flow.steps["website"]  # type: ignore[index]


# Handlers


class Handlers:
    async def method(self, page): ...  # type: ignore[no-untyped-def]

    async def __call__(self, page): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("handler", "options", "is_async"),
    [
        (Handlers().method, {}, True),
        (Handlers(), {"slug": "x"}, True),
        (functools.partial(Handlers(), page=1), {"slug": "x"}, True),
        (functools.partial(website, page=1), {"slug": "x"}, False),
        (lambda page: page, {"slug": "x"}, False),
        (abs, {"slug": "x", "depends_on": []}, None),
    ],
)
def test_handlers_of_all_kinds(handler: Any, options: dict[str, Any], is_async: bool | None) -> None:
    flow = Flow("analyse")
    if is_async is None:
        assert "positional-only" in problems_of(flow, handler, **options)[0]
    else:
        flow.step(handler, **options)
        (step,) = flow.steps.values()
        assert (step.is_async, step.handler) == (is_async, handler)


@pytest.mark.parametrize("handler", [lambda page: page, functools.partial(website), Handlers()])
def test_a_handler_without_a_name_needs_a_slug(handler: Any) -> None:
    assert problems_of(Flow("analyse"), handler)[0].endswith("has no name of its own; name the step with slug=")


def generator(page: int) -> Iterator[int]:
    yield page


async def async_generator(page: int) -> AsyncIterator[int]:
    yield page


@pytest.mark.parametrize("handler", [generator, async_generator])
def test_a_generator_is_refused(handler: Any) -> None:
    assert "is a generator; return a list instead of yielding" in problems_of(Flow("analyse"), handler)[0]


def test_a_class_is_refused() -> None:
    assert "Handlers is a class" in problems_of(Flow("analyse"), Handlers)[0]


def test_a_slug_in_the_place_of_the_handler_is_refused() -> None:
    assert "give a slug as slug=" in " ".join(problems_of(Flow("analyse"), "website"))


def test_a_handler_without_readable_parameters_is_refused() -> None:
    assert "can't be read; wrap it in a function" in problems_of(Flow("analyse"), iter)[0]


def test_the_handler_of_a_step_is_found(flow: Flow) -> None:
    assert flow.handler("website") is website


def test_a_step_without_handler_is_an_error(flow: Flow) -> None:
    with pytest.raises(StepNotFound, match=r"^No handler defined for step: nonexistent$"):
        flow.handler("nonexistent")


# Mistakes


@pytest.mark.parametrize("slug", ["", "run", "1", "a-b", "x" * 48, None, 5])
def test_a_bad_flow_slug_is_refused(slug: Any) -> None:
    with pytest.raises(DefinitionError, match="flow slug"):
        Flow(slug)


def test_all_bad_options_of_a_flow_are_listed() -> None:
    with pytest.raises(DefinitionError) as refused:
        Flow("run", max_attempts=0, base_delay=-1, timeout=0)
    assert len(refused.value.problems) == 4


def test_all_problems_of_a_step_are_listed(flow: Flow) -> None:
    found = problems_of(flow, timeout=0, depends_on=["nothing"], retries=3, when_unmet="skip", executor=5)
    for part in (
        "step 'website': unknown option 'retries'; options: base_delay, depends_on,",
        "executor must be 'thread', 'process' or a name, not 5",
        "the flow has a step of this slug already",
        "depends on 'nothing', which is no step of the flow; known steps: website",
        "timeout must be from 1 to 2147483647, not 0",
        "when_unmet has no effect without if_ or if_not",
        "parameter 'page' is neither",
    ):
        assert any(part in problem for problem in found), found
    assert len(found) == 7


def test_a_step_that_was_refused_is_no_part_of_the_flow(flow: Flow) -> None:
    problems_of(flow, slug="other", timeout=0)
    assert list(flow.steps) == ["website"]


def test_a_function_that_is_no_step_cannot_be_depended_on(flow: Flow) -> None:
    assert problems_of(flow, slug="other", depends_on=[generator])[0] == (
        "step 'other': generator is no step of the flow; known steps: website"
    )


def test_a_function_that_handles_two_steps_cannot_be_depended_on(flow: Flow) -> None:
    flow.step(website, slug="again")
    assert (
        "handles the steps website, again; refer to one by its slug"
        in problems_of(flow, lambda deps: None, slug="other", depends_on=[website])[0]
    )


def test_a_method_can_be_depended_on(flow: Flow) -> None:
    handlers = Handlers()
    flow.step(handlers.method)
    flow.step(lambda deps: None, slug="other", depends_on=[handlers.method])
    assert flow.steps["other"].shape.dependencies == ("method",)


@pytest.mark.parametrize("depends_on", ["website", website, 5])
def test_dependencies_that_are_no_list_are_refused(flow: Flow, depends_on: Any) -> None:
    assert "depends_on must be a list" in problems_of(flow, lambda deps: None, slug="x", depends_on=depends_on)[0]


def test_a_map_over_two_steps_is_refused(flow: Flow) -> None:
    flow.step(website, slug="other")
    found = map_problems_of(flow, lambda element: None, slug="each", over=["website", "other"])
    assert found == ("step 'each': a map step runs over one step, not over website, other",)


def test_a_map_over_an_unknown_step_is_refused(flow: Flow) -> None:
    found = map_problems_of(flow, lambda element: None, slug="each", over="links")
    assert found == ("step 'each': depends on 'links', which is no step of the flow; known steps: website",)


def test_options_of_the_other_kind_of_step_are_refused_with_a_hint(flow: Flow) -> None:
    assert "given as over=" in map_problems_of(flow, lambda element: None, slug="each", depends_on=["website"])[0]
    assert "decorate with .map" in problems_of(flow, slug="other", over="website")[0]


def test_an_executor_for_an_async_handler_is_refused(flow: Flow) -> None:
    assert "run on the event loop" in problems_of(flow, Handlers().method, executor="thread")[0]


def test_a_process_needs_a_function_that_it_can_import(flow: Flow) -> None:
    assert "at the top level of a module" in problems_of(flow, lambda page: page, slug="x", executor="process")[0]
    flow.step(website, slug="other", executor="process")
    assert flow.steps["other"].executor == "process"
    assert flow.steps["website"].executor == "thread"


# Registration


def test_a_flow_without_steps_cannot_be_registered() -> None:
    with pytest.raises(DefinitionError, match=r"^flow 'analyse' has no steps; a flow needs at least one$"):
        Flow("analyse").check()


def test_annotations_are_checked_when_the_flow_is_registered(flow: Flow) -> None:
    def other(website: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    flow.step(other)
    with pytest.raises(DefinitionError, match="step 'other': the annotation of parameter 'website' names 'Missing'"):
        flow.check()


def test_a_registered_flow_takes_no_more_steps(flow: Flow) -> None:
    flow.check()
    flow.check()
    assert problems_of(flow, slug="other") == ("flow 'analyse' is registered already; add its steps before",)


# Views


def test_the_graph_is_given_in_three_formats(flow: Flow) -> None:
    assert flow.graph().startswith("flowchart TD")
    assert flow.graph("dot").startswith('digraph "analyse"')
    assert flow.graph("text") == "analyse\n  website\n"


def test_an_unknown_format_is_refused(flow: Flow) -> None:
    with pytest.raises(InvalidInput, match="unknown format 'svg'"):
        flow.graph("svg")  # type: ignore[arg-type]


def test_a_flow_shows_its_steps(flow: Flow) -> None:
    assert repr(flow) == "Flow('analyse', steps=['website'])"
