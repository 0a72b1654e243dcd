"""Flows of these tests."""

from __future__ import annotations

from typing import Any

from pgflow import Flow


def chain() -> Flow:
    flow = Flow("chain")

    @flow.step
    def first(page: dict[str, int]) -> int:
        return page["number"] + 1

    @flow.step
    def second(first: int) -> list[int]:
        return [first]

    @flow.step
    def third(second: list[int], flow_input: Any) -> Any:
        return {"second": second, "input": flow_input}

    return flow
