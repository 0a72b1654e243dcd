"""The flows of flows.ts in Python. Outputs say which language made them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pgflow import Context, Flow

Called = Callable[[], object]


def _nothing() -> None:
    pass


def chain(begun: Called = _nothing) -> Flow:
    """Each step adds the language that has worked it; `begun` is called when a handler begins."""
    flow = Flow("chain")

    def added(languages: list[str]) -> list[str]:
        begun()
        return [*languages, "python"]

    @flow.step
    async def first(languages: list[str]) -> list[str]:
        return added(languages)

    @flow.step
    async def second(first: list[str]) -> list[str]:
        return added(first)

    @flow.step
    async def third(second: list[str]) -> list[str]:
        return added(second)

    @flow.step
    async def fourth(third: list[str]) -> list[str]:
        return added(third)

    return flow


elements = Flow("elements")


@elements.map
async def element(number: int) -> dict[str, Any]:
    await asyncio.sleep(0.005)
    return {"number": number, "by": "python"}


@elements.step
async def total(element: list[dict[str, Any]]) -> int:
    return sum(each["number"] for each in element)


def fragile(begun: Called = _nothing) -> Flow:
    """Fails in the language that its input names, and is retried at once."""
    flow = Flow("fragile", base_delay=0)

    @flow.step
    async def only(input: dict[str, str], ctx: Context) -> str:  # noqa: A002
        begun()
        if input["fails_in"] == "python":
            raise ValueError("python has failed")
        return f"python, attempt {ctx.attempt}"

    return flow


def echo(begun: Called = _nothing) -> Flow:
    """Gives back what it gets."""
    flow = Flow("echo")

    @flow.step
    async def there(value: Any) -> Any:
        begun()
        return value

    @flow.step
    async def back(there: Any) -> Any:
        begun()
        return there

    return flow


FALSY: dict[str, Any] = {"none": None, "no": False, "zero": 0, "empty": "", "nothing": []}


def falsy(begun: Called = _nothing) -> Flow:
    """Falsy outputs of single steps, and a step that shows what it got of them; `begun` when all of them have begun."""
    flow = Flow("falsy")
    left = set(FALSY)

    def step_for(slug: str) -> Callable[[], Any]:
        async def handler() -> Any:
            left.discard(slug)
            if not left:
                begun()
            return FALSY[slug]

        return handler

    for slug in FALSY:
        flow.step(slug=slug)(step_for(slug))

    @flow.step(depends_on=list(FALSY))
    async def shown(deps: dict[str, Any]) -> dict[str, Any]:
        begun()
        return deps

    return flow


def held(begun: Called = _nothing, may_end: asyncio.Event | None = None) -> Flow:
    """Waits for a file in Node, for an event here if there is one."""
    flow = Flow("held")

    @flow.step
    async def only(value: Any) -> str:
        begun()
        if may_end is not None:
            await may_end.wait()
        return "python"

    return flow


late = Flow("late")


@late.step
async def greeting() -> str:
    return "hello"


@late.step
async def greet(greeting: str, flow_input: dict[str, str]) -> str:
    return f"{greeting} {flow_input['name']}"


branches = Flow("branches")


@branches.step(if_={"left": True})
async def left(input: dict[str, bool]) -> str:  # noqa: A002
    return "python"


@branches.step(if_not={"left": True})
async def right(input: dict[str, bool]) -> str:  # noqa: A002
    return "python"


@branches.step(depends_on=["left", "right"])
async def joined(deps: dict[str, str]) -> dict[str, str]:
    return deps


everything = Flow("everything", max_attempts=7, base_delay=2, timeout=90)


@everything.step(start_delay=0)
async def numbers(values: list[int]) -> list[int]:
    return values


@everything.map(timeout=5, max_attempts=1, base_delay=9)
async def each_input(number: int) -> int:
    return number


@everything.map(over=numbers, start_delay=4)
async def each_number(number: int) -> int:
    return number


@everything.step(slug="total", depends_on=["numbers", "each_number", "each_input"], max_attempts=2)
async def sum_of_all(deps: dict[str, Any]) -> int:
    return 0


@everything.step(slug="Last_1", depends_on=["total"])
async def last(deps: dict[str, Any]) -> None:
    pass
