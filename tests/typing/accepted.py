"""What type checkers must accept."""

from __future__ import annotations

from typing import Any, assert_type

from pgflow.flow import Flow

flow = Flow("analyse", max_attempts=3, base_delay=0, timeout=60)


@flow.step
async def website(page: str) -> list[str]:
    return [page]


@flow.step(timeout=5, start_delay=0, if_={"website": ["x"]}, when_unmet="skip-cascade", when_exhausted="skip")
def summary(website: list[str]) -> int:
    return len(website)


@flow.step(depends_on=[website, "summary"], slug="other", executor="process")
def save(deps: dict[str, Any]) -> None: ...


@flow.map(over=website)
def check_link(link: str) -> bool:
    return bool(link)


@flow.map
def double(number: float) -> float:
    return 2 * number


async def handlers_stay_plain_functions() -> None:
    assert_type(await website("x"), list[str])
    assert_type(summary(["x"]), int)
    assert_type(check_link("x"), bool)
    assert_type(double(1.5), float)


flow.step(lambda page: page, slug="anonymous")
assert_type(flow.graph("text"), str)
