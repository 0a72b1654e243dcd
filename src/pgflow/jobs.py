"""Jobs: flows of one step, made from one function."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar, Generic, ParamSpec, TypedDict, TypeVar, Unpack

from pgflow.errors import DefinitionError
from pgflow.flow import Flow
from pgflow.graph import FlowType, StepType
from pgflow.handlers import Handler, default_slug, handler_problems

P = ParamSpec("P")
R = TypeVar("R")


class JobOptions(TypedDict, total=False):
    """Options of a job.

    `slug` is the function's name by default. `max_attempts` (3), `base_delay` (1 second), `timeout` (60 seconds),
    `max_delay` and `jitter` are those of a :class:`Flow`, `executor` is that of a step.
    """

    slug: str | None
    max_attempts: int
    base_delay: int
    timeout: int
    max_delay: int | None
    jitter: float
    executor: str


class JobDefinition(Flow[Any, Any], Generic[P, R]):
    """A flow of one step, called as the job is; wherever a flow is taken, a job is too.

    Calling it calls the function, here and now. Raises :class:`DefinitionError`, listing every problem.
    """

    flow_type: ClassVar[FlowType] = "job"

    def __init__(self, function: Callable[P, R], /, **options: Unpack[JobOptions]) -> None:
        found = [f"job: {problem}" for problem in handler_problems(function)]
        found += [
            f"job: unknown option {name!r}; options: {', '.join(sorted(JobOptions.__optional_keys__))}"
            for name in options
            if name not in JobOptions.__optional_keys__
        ]
        given: dict[str, Any] = dict(options)
        slug = given.pop("slug", None)
        if slug is None:
            slug = default_slug(function)
        if slug is None:
            found.append(f"job: {function!r} has no name of its own; name the job with slug=")
        if found or slug is None:
            raise DefinitionError(found)
        step_options = {"executor": given.pop("executor")} if "executor" in given else {}
        super().__init__(slug, **given)
        super()._decorate(function, "single", {"slug": slug, **step_options})
        self.__pgflow_function__ = function
        update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as in a test; no run is started."""
        return self.__pgflow_function__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Job({self.slug!r})"

    def _decorate(self, handler: Handler | None, step_type: StepType, options: dict[str, Any]) -> Handler:
        raise DefinitionError(f"job {self.slug!r} has its one step already; declare a Flow for several")
