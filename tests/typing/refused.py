"""What type checkers must refuse: each marked line, and no other."""

from __future__ import annotations

from pgflow.flow import Flow

Flow(5)  # refused: arg-type
Flow("analyse", timeout="60")  # refused: arg-type
Flow("analyse", retries=3)  # refused: call-arg

flow = Flow("analyse")


@flow.step
def website(page: str) -> list[str]:
    return [page]


@flow.step(timeout="5")  # refused: call-overload, untyped-decorator
def one() -> None: ...


@flow.step(when_unmet="maybe")  # refused: call-overload, untyped-decorator
def two() -> None: ...


@flow.step(retries=3)  # refused: call-overload, untyped-decorator
def three() -> None: ...


@flow.step(over=website)  # refused: call-overload, untyped-decorator
def four() -> None: ...


@flow.map(depends_on=[website])  # refused: call-overload, untyped-decorator
def five() -> None: ...


flow.step("slug")  # refused: call-overload
flow.graph("svg")  # refused: arg-type
website(5)  # refused: arg-type
title = website("x").title  # refused: attr-defined
flow.slug = "other"  # refused: misc
