"""The middle of every attempt, wherever it runs: validate the arguments, call the handler, encode what it returns."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pgflow.binding import Binding
from pgflow.types import Json
from pgflow.worker.attempt import Attempt
from pgflow.worker.context import Context
from pgflow.worker.outcome import Completed, Outcome, failed, raised


@dataclass(slots=True)
class Work:
    """A handler and what it is called with; whether a map runs over what it returns."""

    binding: Binding
    task_input: Json
    flow_input: Json
    context: Context | None = None
    is_mapped_over: bool = False

    def perform(self) -> Outcome:
        """Call a `def` handler, here and now, and return what became of it. Raises nothing."""
        process_id = os.getpid()
        try:
            outcome = self._completed(self.binding.handler(**self._arguments()))
        except BaseException as error:
            outcome = raised(error)
        _end_forked_process(process_id)
        return outcome

    async def perform_async(self, attempt: Attempt) -> Outcome:
        """Call an `async def` handler and return what became of it. Raises only GeneratorExit."""
        process_id = os.getpid()
        outcome: Outcome
        try:
            outcome = self._completed(await Closable(self.binding.handler(**self._arguments()), attempt))
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            outcome = failed(error)
            if not error.args:
                outcome = replace(outcome, error_message="CancelledError: the handler cancelled itself")
        except BaseException as error:
            outcome = raised(error)
        _end_forked_process(process_id)
        return outcome

    def _arguments(self) -> dict[str, Any]:
        return self.binding.arguments(self.task_input, self.flow_input, self.context)

    def _completed(self, result: object) -> Outcome:
        if inspect.iscoroutine(result):
            result.close()  # it is refused as no JSON; Python need not warn that nobody awaited it
        return Completed(self.binding.encode(result))


class Closable:
    """Awaits a handler; once its attempt is closing, the next exception thrown into it closes it where it waits.

    Without that, a handler that ignores its cancellation would keep its event loop from ever ending.
    """

    def __init__(self, coroutine: Awaitable[Any], attempt: Attempt) -> None:
        self._coroutine = coroutine
        self._attempt = attempt

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        go_on: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                awaited = go_on()
            except StopIteration as end:
                return end.value
            finally:
                del go_on  # an error in it would keep this frame, and the frame what the handler was called with
            try:
                answer = yield awaited
            except BaseException as error:
                if self._attempt.is_closing:
                    with suppress(BaseException):  # what it raises at its end, as when it ignores that too
                        steps.close()
                    raise
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, answer)


def _end_forked_process(process_id: int) -> None:
    """End a process that the handler forked and let return: it must not go on as a second worker."""
    if os.getpid() != process_id:
        os._exit(0)
