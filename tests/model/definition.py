"""Flows as the model knows them, and as shapes that the engine compiles."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from model.values import Json


@dataclass(frozen=True, repr=False)
class Step:
    """A step; an option that is `None` is the flow's."""

    slug: str
    parents: tuple[str, ...] = ()
    is_map: bool = False
    required: Json = None
    forbidden: Json = None
    when_unmet: str = "skip"
    when_exhausted: str = "fail"
    max_attempts: int | None = None
    base_delay: int | None = None
    timeout: int | None = None
    start_delay: int | None = None

    def __repr__(self) -> str:
        options = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        return f"Step({', '.join(f'{name}={option!r}' for name, option, default in options if option != default)})"


@dataclass(frozen=True)
class Flow:
    """A flow; parents come before children."""

    slug: str
    steps: tuple[Step, ...]
    max_attempts: int = 3
    base_delay: int = 1
    timeout: int = 60

    def step(self, slug: str) -> Step:
        return next(step for step in self.steps if step.slug == slug)

    def children(self, slug: str) -> list[Step]:
        return [step for step in self.steps if slug in step.parents]

    def downstream(self, slugs: list[str]) -> list[str]:
        """Return the named steps and all that is reachable from them, parents before children."""
        reached = set(slugs)
        for step in self.steps:
            if reached & set(step.parents):
                reached.add(step.slug)
        return [step.slug for step in self.steps if step.slug in reached]

    def has_root_map(self) -> bool:
        return any(step.is_map and not step.parents for step in self.steps)

    def max_attempts_of(self, step: Step) -> int:
        return self.max_attempts if step.max_attempts is None else step.max_attempts

    def base_delay_of(self, step: Step) -> int:
        return self.base_delay if step.base_delay is None else step.base_delay

    def timeout_of(self, step: Step) -> int:
        return self.timeout if step.timeout is None else step.timeout

    def shape(self) -> str:
        """Return the flow as `ensure_flow_compiled` takes it."""
        options = {"maxAttempts": self.max_attempts, "baseDelay": self.base_delay, "timeout": self.timeout}
        return json.dumps({"options": options, "steps": [_step_shape(step) for step in self.steps]})


def _step_shape(step: Step) -> dict[str, Json]:
    options = {
        "maxAttempts": step.max_attempts,
        "baseDelay": step.base_delay,
        "timeout": step.timeout,
        "startDelay": step.start_delay,
    }
    return {
        "slug": step.slug,
        "stepType": "map" if step.is_map else "single",
        "dependencies": list(step.parents),
        "options": {name: option for name, option in options.items() if option is not None},
        "whenUnmet": step.when_unmet,
        "whenExhausted": step.when_exhausted,
        "requiredInputPattern": _pattern(step.required),
        "forbiddenInputPattern": _pattern(step.forbidden),
    }


def _pattern(pattern: Json) -> dict[str, Json]:
    return {"defined": False} if pattern is None else {"defined": True, "value": pattern}
