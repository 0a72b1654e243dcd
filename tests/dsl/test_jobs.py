"""Declaring jobs: what they are, what is refused."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pgflow import Context, DefinitionError, Flow, Job, PgFlow, job, sync
from pgflow.graph import to_sql
from pgflow.jobs import JobDefinition

DECORATORS = pytest.mark.parametrize("decorate", [job, sync.job], ids=["async", "blocking"])


@pytest.mark.feature("B3.5")
@DECORATORS
def test_a_function_becomes_a_job_named_like_it(decorate: Any) -> None:
    @decorate
    def send_email(message: dict[str, Any]) -> str:
        """Send it."""
        return message["to"]

    assert isinstance(send_email, JobDefinition)
    assert isinstance(send_email, Flow)
    assert (send_email.slug, list(send_email.steps), send_email.flow_type) == ("send_email", ["send_email"], "job")
    assert send_email.options == {"max_attempts": 3, "base_delay": 1, "timeout": 60}
    assert (send_email.__name__, send_email.__doc__) == ("send_email", "Send it.")
    assert repr(send_email) == "Job('send_email')"


@pytest.mark.feature("B3.7")
@DECORATORS
def test_a_job_is_called_like_its_function(decorate: Any) -> None:
    @decorate(max_attempts=5)
    def add(numbers: list[int], *, start: int = 0) -> int:
        return sum(numbers, start)

    assert add([1, 2], start=3) == 6
    assert list(inspect.signature(add).parameters) == ["numbers", "start"]


async def test_an_async_job_is_awaited_like_its_function() -> None:
    @job
    async def add(numbers: list[int], ctx: Context | None = None) -> int:
        return sum(numbers)

    assert await add([1, 2]) == 3


def test_options_are_those_of_a_flow() -> None:
    @job(slug="mail", max_attempts=5, base_delay=0, timeout=120, max_delay=10, jitter=0.5)
    def send_email(message: str) -> None: ...

    assert (send_email.slug, list(send_email.steps)) == ("mail", ["mail"])
    assert send_email.options == {"max_attempts": 5, "base_delay": 0, "timeout": 120}
    assert send_email.retry_delay("mail", 1) is not None


def test_the_shape_says_that_it_is_a_job() -> None:
    @job
    def send_email(message: str) -> None: ...

    assert send_email.shape["flowType"] == "job"
    assert "flowType" not in Flow("other").shape
    assert to_sql(send_email.flow_shape)[-1] == "SELECT pgflow.set_flow_type('send_email', 'job');"


def test_a_method_of_an_object_can_be_a_job() -> None:
    class Mailer:
        def send(self, message: str) -> str:
            return message.upper()

    assert job(Mailer().send, slug="send")("x") == "X"


def test_a_partial_needs_a_slug() -> None:
    send = functools.partial(lambda message, sender: message + sender, sender="!")
    with pytest.raises(DefinitionError, match=r"has no name of its own; name the job with slug="):
        job(send)
    assert job(send, slug="send")("x") == "x!"


async def stream(number: int) -> AsyncIterator[int]:
    yield number


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda: job(lambda value: value), "has no name of its own"),
        (lambda: job(5), "can't be called"),
        (lambda: job(dict), "is a class"),
        (lambda: job(stream), "is a generator"),
        (lambda: job(lambda value: value, slug=""), "is empty"),
        (lambda: job(lambda value: value, slug="run"), "is reserved"),
        (lambda: job(lambda value: value, slug="a b"), "letters, digits"),
        (lambda: job(lambda value: value, slug="x" * 48), "more than 47"),
        (lambda: job(lambda value: value, slug="x", timeout=0), "timeout must be from 1"),
        (lambda: job(lambda value: value, slug="x", timeout="1"), "timeout must be an integer"),
        (lambda: job(lambda value: value, slug="x", jitter=2), "jitter"),
        (lambda: job(lambda value: value, slug="x", retries=3), "unknown option 'retries'; options: base_delay, "),
        (lambda: job(lambda value: value, slug="x", depends_on=[]), "unknown option 'depends_on'"),
        (lambda: job(lambda value: value, slug="x", executor=""), "executor must be"),
        (lambda: job(lambda one, two: one, slug="x"), "parameter 'one'"),
        (lambda: job(lambda deps: deps, slug="x"), "parameter 'deps'"),
        (lambda: job(retries=3)(lambda value: value), "unknown option 'retries'"),
    ],
)
def test_what_is_wrong_is_said(declare: Any, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        declare()


def test_every_problem_is_listed() -> None:
    with pytest.raises(DefinitionError) as raised:
        job(lambda one: one, retries=3, cron="@hourly")
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize("decorator", ["step", "map"])
def test_a_job_has_one_step(decorator: str) -> None:
    send = job(lambda message: message, slug="send")
    with pytest.raises(DefinitionError, match="job 'send' has its one step already; declare a Flow for several"):
        getattr(send, decorator)(lambda send: send, slug="more")
    assert list(send.steps) == ["send"]


def test_jobs_of_an_application_are_worked_like_its_flows() -> None:
    send, flow = job(lambda message: message, slug="send"), Flow("flow")
    assert PgFlow(flows=[flow], jobs=[send]).flows == (flow, send)
    assert sync.PgFlow(flows=[flow], jobs=[send]).flows == (flow, send)


@pytest.mark.parametrize("kind", ["async", "blocking"])
@pytest.mark.parametrize("value", [Flow("flow"), print, "send"])
def test_what_is_no_job_is_refused_by_the_application(kind: str, value: Any) -> None:
    application = PgFlow if kind == "async" else sync.PgFlow
    with pytest.raises(DefinitionError, match="is no job; decorate a function with @job"):
        application(jobs=[value])


async def test_a_job_of_no_application_says_what_to_do() -> None:
    message = r"job 'send' doesn't know its database: pass it as PgFlow\(jobs=\[…\]\), or call enqueue of a PgFlow"
    unbound: Job[..., Any] = job(lambda message: message, slug="send")
    with pytest.raises(DefinitionError, match=message):
        await unbound.enqueue(1)
    with pytest.raises(DefinitionError, match=message):
        sync.job(lambda message: message, slug="send").enqueue(1)
    sync.PgFlow(jobs=[unbound])
    with pytest.raises(DefinitionError, match=message):
        await unbound.enqueue(1)
