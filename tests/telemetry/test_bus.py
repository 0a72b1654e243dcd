"""The bus: who is told what, and that telling hurts nobody."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pgflow import telemetry
from pgflow.types import StartedTask

EXAMPLES: dict[str, Any] = {
    "system_time": 1.5,
    "duration": 0.25,
    "task_count": 3,
    "run_id": uuid4(),
    "worker_id": uuid4(),
    "task_index": 0,
    "attempt": 1,
    "max_attempts": 3,
    "active_tasks": 2,
    "retry_delay": None,
    "output": b"{}",
}


def emit(name: str, **payloads: Any) -> None:
    """Emit an event with a value for each of its keys."""
    event = telemetry.EVENTS[name]
    telemetry.emit(
        name,
        {key: EXAMPLES[key] for key in event.measurements},
        {**{key: EXAMPLES.get(key, key) for key in event.metadata}, **payloads},
    )


class Recorder:
    """A handler that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, float], dict[str, Any]]] = []

    def __call__(self, event: str, measurements: Any, metadata: Any) -> None:
        self.seen.append((event, dict(measurements), dict(metadata)))

    @property
    def names(self) -> list[str]:
        return [event for event, _, _ in self.seen]


@pytest.fixture(autouse=True)
def _nobody_is_attached() -> None:
    telemetry.detach("pgflow.logs")  # by a worker of another test


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    yield Recorder()
    for name in ("recorder", "other", "raising"):
        telemetry.detach(name)


@pytest.mark.parametrize("name", telemetry.ALL)
def test_every_event_is_told_with_its_measurements_and_metadata(recorder: Recorder, name: str) -> None:
    telemetry.attach("recorder", name, recorder)
    emit(name)
    ((event, measurements, metadata),) = recorder.seen
    declared = telemetry.EVENTS[name]
    assert (event, tuple(measurements), tuple(metadata)) == (name, declared.measurements, declared.metadata)


@pytest.mark.parametrize("event", telemetry.EVENTS.values(), ids=lambda event: event.name)
def test_every_field_of_an_event_is_explained_and_the_event_too(event: telemetry.Event) -> None:
    assert {*event.measurements, *event.metadata, *event.payloads} <= set(telemetry.FIELDS)
    assert event.meaning.endswith(".")


def test_every_explained_field_is_one_of_an_event() -> None:
    used = {name for event in telemetry.EVENTS.values() for name in event.measurements + event.metadata}
    used |= {name for event in telemetry.EVENTS.values() for name in event.payloads}
    assert used == set(telemetry.FIELDS)


@pytest.mark.feature("A4-T")
def test_every_event_is_emitted_somewhere_and_nothing_else() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(telemetry.__file__).parent.rglob("*.py")]
    assert {name for text in sources for name in re.findall(r'emit\(\s*"([a-z.]+)"', text)} == set(telemetry.ALL)


def test_only_the_events_asked_for_are_told(recorder: Recorder) -> None:
    telemetry.attach("recorder", (name for name in ["task.start", "task.stop", "task.stop"]), recorder)
    for name in telemetry.ALL:
        emit(name)
    assert recorder.names == ["task.start", "task.stop"]


def test_nothing_is_told_after_detaching(recorder: Recorder) -> None:
    telemetry.attach("recorder", telemetry.ALL, recorder)
    assert telemetry.detach("recorder")
    emit("task.stop")
    assert recorder.seen == []
    assert not telemetry.detach("recorder")


def test_a_name_can_be_used_again_after_detaching_only(recorder: Recorder) -> None:
    telemetry.attach("recorder", "task.stop", recorder)
    with pytest.raises(ValueError, match="is attached as 'recorder'; detach it first"):
        telemetry.attach("recorder", "task.start", recorder)
    emit("task.start")
    telemetry.detach("recorder")
    telemetry.attach("recorder", "task.start", recorder)
    emit("task.start")
    assert recorder.names == ["task.start"]


def test_an_event_that_somebody_is_attached_to_is_observed(recorder: Recorder) -> None:
    assert not telemetry.is_observed("poll.stop")
    telemetry.attach("recorder", "poll.stop", recorder)
    assert telemetry.is_observed("poll.stop")
    assert not telemetry.is_observed("poll.start")
    telemetry.detach("recorder")
    assert not telemetry.is_observed("poll.stop")


@pytest.mark.parametrize("events", ["task.ended", "", "*", ["task.stop", "Task.Stop"]], ids=repr)
def test_unknown_events_are_refused_with_the_list(recorder: Recorder, events: Any) -> None:
    with pytest.raises(ValueError, match=r"no event '.*'; events: worker\.start, worker\.stop, "):
        telemetry.attach("recorder", events, recorder)
    assert not telemetry.is_observed("task.stop")
    telemetry.attach("recorder", telemetry.ALL, recorder)


def test_unknown_events_are_refused_wherever_they_are_named() -> None:
    for call in (telemetry.is_observed, lambda name: telemetry.emit(name, {}, {})):
        with pytest.raises(ValueError, match=r"no event 'task\.ended'"):
            call("task.ended")


def test_no_event_at_all_is_refused(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match=r"at least one event for 'recorder', or pass telemetry\.ALL"):
        telemetry.attach("recorder", [], recorder)


async def _asynchronous(event: str, measurements: Any, metadata: Any) -> None: ...


@pytest.mark.parametrize("handler", [None, "print", _asynchronous], ids=["None", "text", "async"])
def test_a_handler_that_is_no_plain_function_is_refused(recorder: Recorder, handler: Any) -> None:
    with pytest.raises(TypeError, match="a telemetry handler is a plain function"):
        telemetry.attach("recorder", telemetry.ALL, handler)
    assert not telemetry.detach("recorder")


@pytest.mark.parametrize(
    ("measurements", "metadata"),
    [
        ({}, {"flow_slug": "a", "status": "compiled", "more": 1}),
        ({}, {"flow_slug": "a"}),
        ({}, {}),
        ({"duration": 1.0}, {"flow_slug": "a", "status": "compiled"}),
    ],
    ids=["odd metadata", "missing metadata", "none", "odd measurement"],
)
def test_wrong_keys_are_refused_even_if_nobody_is_attached(measurements: Any, metadata: Any) -> None:
    with pytest.raises(ValueError, match=r"flow\.ensured has measurements \(\) and metadata \('flow_slug', 'status'\)"):
        telemetry.emit("flow.ensured", measurements, metadata)


def test_outputs_are_told_only_to_whom_asked_for_them(recorder: Recorder) -> None:
    asked = Recorder()
    telemetry.attach("recorder", telemetry.ALL, recorder)
    telemetry.attach("other", telemetry.ALL, asked, payloads=True)
    emit("task.stop", output=b'{"secret": 1}')
    emit("task.stop")
    assert [metadata.get("output") for _, _, metadata in asked.seen] == [b'{"secret": 1}', None]
    assert "secret" not in repr(recorder.seen)
    assert len(recorder.seen) == 2


def test_what_a_handler_is_told_cannot_be_changed(recorder: Recorder) -> None:
    def change(event: str, measurements: Any, metadata: Any) -> None:
        with pytest.raises(TypeError):
            measurements["duration"] = 0
        with pytest.raises(TypeError):
            metadata["flow_slug"] = "other"

    telemetry.attach("other", "task.stop", change)
    telemetry.attach("recorder", "task.stop", recorder)
    emit("task.stop")
    assert recorder.seen[0][1] == {"duration": 0.25}


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), SystemExit(3), asyncio.CancelledError(), RecursionError(), StopIteration()],
    ids=repr,
)
def test_a_handler_that_raises_is_logged_and_hurts_nobody(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def break_down(event: str, measurements: Any, metadata: Any) -> None:
        raise error

    telemetry.attach("raising", "task.stop", break_down)
    telemetry.attach("recorder", "task.stop", recorder)
    emit("task.stop")
    (record,) = caplog.records
    assert (
        record.getMessage()
        == "telemetry handler 'raising' raised at task.stop, its failure number 1; it stays attached"
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert recorder.names == ["task.stop"]


def test_ctrl_c_in_a_handler_reaches_the_caller(recorder: Recorder) -> None:
    def interrupt(event: str, measurements: Any, metadata: Any) -> None:
        raise KeyboardInterrupt

    telemetry.attach("raising", "task.stop", interrupt)
    with pytest.raises(KeyboardInterrupt):
        emit("task.stop")


def test_a_handler_that_always_raises_is_logged_once_a_minute(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: now)
    telemetry.attach("raising", "task.stop", lambda *_: 1 / 0)
    for _ in range(1000):
        emit("task.stop")
    assert len(caplog.records) == 1
    now += 60
    emit("task.stop")
    assert "number 1001;" in caplog.records[1].getMessage()


def test_a_handler_that_emits_what_it_is_attached_to_is_logged_and_ends(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry.attach("raising", "flow.deleted", lambda *_: emit("flow.deleted"))
    emit("flow.deleted")
    # Logging itself fails where the stack ends, after some of its handlers; those further up, where it works, then log.
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert len(caplog.records) < 20


def test_a_handler_may_detach_itself(recorder: Recorder) -> None:
    seen: list[str] = []

    def once(event: str, measurements: Any, metadata: Any) -> None:
        seen.append(event)
        telemetry.detach("other")

    telemetry.attach("other", telemetry.ALL, once)
    telemetry.attach("recorder", telemetry.ALL, recorder)
    emit("task.start")
    emit("task.stop")
    assert seen == ["task.start"]
    assert recorder.names == ["task.start", "task.stop"]


def test_threads_can_attach_and_detach_while_others_emit() -> None:
    told = threading.Event()
    done = threading.Event()
    errors: list[BaseException] = []

    def change(name: str) -> None:
        try:
            for _ in range(300):
                telemetry.attach(name, telemetry.ALL, lambda *_: told.set())
                assert telemetry.detach(name)
        except BaseException as error:
            errors.append(error)

    def tell() -> None:
        try:
            while not done.is_set():
                emit("task.stop")
        except BaseException as error:
            errors.append(error)

    changing = [threading.Thread(target=change, args=(f"thread {number}",)) for number in range(4)]
    telling = threading.Thread(target=tell)
    for thread in (telling, *changing):
        thread.start()
    for thread in changing:
        thread.join()
    done.set()
    telling.join()
    assert errors == []
    assert not any(telemetry.is_observed(name) for name in telemetry.ALL)


def test_the_metadata_of_a_task_is_what_its_events_have() -> None:
    task = StartedTask("flow", uuid4(), "step", 2, {}, None, 1, 1, 3, 60)
    worker_id = uuid4()
    metadata = telemetry.task_metadata(task, worker_id)
    assert tuple(metadata) == telemetry.EVENTS["task.start"].metadata
    assert metadata["worker_id"] == worker_id
    assert metadata["task_index"] == 2
