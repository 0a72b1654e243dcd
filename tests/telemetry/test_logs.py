"""How records look, and what is logged for events."""

from __future__ import annotations

import io
import json
import logging
from contextvars import copy_context
from typing import Any
from uuid import UUID

import pytest

from pgflow import logs, telemetry
from pgflow.types import StartedTask
from pgflow.worker.context import TaskLogger

RUN_ID = UUID("0193a1b2-0000-7000-8000-000000000001")
WORKER_ID = UUID("0193a1b2-0000-7000-8000-000000000002")
TASK = StartedTask("shop", RUN_ID, "pay", 0, {}, None, 1, 1, 3, 60)
NAME = f"[shop.pay[0] {RUN_ID}]"
TASK_METADATA = telemetry.task_metadata(TASK, WORKER_ID)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(own_logging: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(level: logs.Level = "debug", form: logs.Format = "json") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(form, level, stream=stream)
    return stream


def fail_task(error: str = "ValueError: no money", retry_delay: float | None = 4, **payloads: Any) -> None:
    metadata = {**TASK_METADATA, "error": error, "retry_delay": retry_delay, **payloads}
    telemetry.emit("task.exception", {"duration": 0.25}, metadata)


def test_a_record_becomes_an_object_of_json() -> None:
    stream = configured()
    TaskLogger(TASK).warning("found %d pages", 3, extra={"pages": 3})
    (line,) = json_lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "pgflow.task",
        "message": "found 3 pages",
        "flow_slug": "shop",
        "run_id": str(RUN_ID),
        "step_slug": "pay",
        "task_index": 0,
        "attempt": 1,
        "pages": 3,
    }


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), None),
        (RUN_ID, str(RUN_ID)),
        ("line\nline", "line\nline"),
        ("a\0b", "a\0b"),
        ({"deep": [1, {"x": (2,)}]}, {"deep": [1, {"x": [2]}]}),
        (2**80, 2**80),
    ],
    ids=repr,
)
def test_any_field_becomes_json(value: Any, written: Any) -> None:
    stream = configured()
    logging.getLogger("pgflow").warning("text", extra={"value": value})
    assert [line["value"] for line in json_lines(stream)] == [written]


def test_what_json_does_not_have_costs_no_record() -> None:
    circle: list[Any] = []
    circle.append(circle)
    stream = configured()
    logger = logging.getLogger("pgflow")
    for value in (object, circle, "\ud800", {"a": "\ud800"}):
        logger.warning("text", extra={"value": value})
    assert [line["message"] for line in json_lines(stream)] == ["text"] * 4


def test_fields_cannot_replace_what_every_line_has() -> None:
    stream = configured()
    logging.getLogger("pgflow").warning("text", extra={"level": 9, "time": "never", "logger": "x"})
    (line,) = json_lines(stream)
    assert (line["level"], line["logger"]) == ("warning", "pgflow")
    assert (line["level_"], line["time_"], line["logger_"]) == (9, "never", "x")


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_tracebacks_are_kept(form: logs.Format) -> None:
    stream = configured(form=form)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("pgflow").exception("failed")
    assert "Traceback (most recent call last)" in stream.getvalue()
    assert "ValueError: broken" in stream.getvalue()


def test_json_is_one_line_per_record() -> None:
    stream = configured()
    fail_task("ValueError: a\nb", traceback="Traceback\n  line\nValueError: a\nb\n")
    (line,) = json_lines(stream)
    assert line["traceback"] == "Traceback\n  line\nValueError: a\nb"
    assert line["error"] == "ValueError: a\nb"


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("pretty", io.StringIO, False),
    ],
)
def test_the_format_suits_the_stream_unless_it_is_chosen(form: Any, stream: type[io.StringIO], is_json: bool) -> None:
    target = stream()
    logs.configure(form, stream=target)
    logging.getLogger("pgflow").info("hello")
    assert target.getvalue().startswith("{") == is_json


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colours_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], variables: dict[str, str], coloured: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    target = stream()
    logs.configure("pretty", stream=target)
    logging.getLogger("pgflow").warning("hello")
    assert ("\x1b[" in target.getvalue()) == coloured


def test_people_see_time_level_task_and_message() -> None:
    stream = configured(form="pretty")
    TaskLogger(TASK).info("found %d pages", 3)
    time, rest = stream.getvalue().split(" ", 1)
    assert len(time) == len("12:34:56")
    assert rest == f"INFO     {NAME} found 3 pages\n"


def test_people_see_the_beginning_of_a_long_error_and_programs_see_all_of_it() -> None:
    error = f"ValueError: {'x' * 500}\nmore"
    pretty, as_json = configured(form="pretty"), None
    fail_task(error)
    assert f"ValueError: {'x' * 187}…" in pretty.getvalue()
    assert "x" * 188 not in pretty.getvalue()
    as_json = configured()
    fail_task(error)
    assert json_lines(as_json)[0]["error"] == error


def test_an_error_cannot_control_the_terminal() -> None:
    stream = Terminal()
    logs.configure("pretty", "info", stream=stream)
    fail_task("ValueError: \x1b[2J\x9b\x07\r", traceback="File \x1b]0;title\x07")
    visible = stream.getvalue().replace("\x1b[2m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")
    assert not {"\x1b", "\x9b", "\x07", "\r"} & set(visible)


@pytest.mark.parametrize(("form", "level"), [("fancy", "info"), ("", "info"), ("json", "loud")])
def test_unknown_formats_and_levels_are_refused(form: Any, level: Any) -> None:
    with pytest.raises(ValueError, match=r"no log format '.*'; formats: auto, pretty, json|Unknown level: 'LOUD'"):
        logs.configure(form, level, stream=io.StringIO())


def test_configuring_again_replaces_the_handler() -> None:
    first, second = configured(), configured()
    fail_task()
    assert first.getvalue() == ""
    assert len(json_lines(second)) == 1


FAILED = {**TASK_METADATA, "error": "ValueError: no money"}
RUN = {"flow_slug": "shop", "run_id": RUN_ID}
LINES: list[tuple[str, dict[str, float], dict[str, Any], str, str]] = [
    ("task.start", {"system_time": 1.0}, TASK_METADATA, "debug", f"{NAME} started, attempt 1 of 3"),
    ("task.stop", {"duration": 0.25}, TASK_METADATA, "info", f"{NAME} completed in 0.250 s"),
    (
        "task.exception",
        {"duration": 0.25},
        {**FAILED, "retry_delay": 4.0},
        "warning",
        f"{NAME} failed, attempt 1 of 3, the next in 4 s: ValueError: no money",
    ),
    (
        "task.exception",
        {"duration": 0.25},
        {**FAILED, "retry_delay": None},
        "warning",
        f"{NAME} failed, attempt 1 of 3, no other follows: ValueError: no money",
    ),
    (
        "task.discarded",
        {"duration": 0.25},
        {**TASK_METADATA, "reason": "late"},
        "info",
        f"{NAME} attempt 1 doesn't count: late",
    ),
    (
        "step.skipped",
        {"system_time": 1.0},
        {**RUN, "step_slug": "pay", "skip_reason": "condition_unmet"},
        "info",
        f"[shop.pay {RUN_ID}] skipped: condition_unmet",
    ),
    ("run.started", {"system_time": 1.0}, RUN, "debug", f"[shop {RUN_ID}] started"),
    ("run.completed", {"duration": 1.5}, RUN, "info", f"[shop {RUN_ID}] completed in 1.500 s"),
    (
        "run.failed",
        {"duration": 1.5},
        {**RUN, "error": "{braces} %s"},
        "error",
        f"[shop {RUN_ID}] failed after 1.500 s: {{braces}} %s",
    ),
    ("flow.ensured", {}, {"flow_slug": "shop", "status": "compiled"}, "info", "flow shop: compiled"),
    ("flow.deleted", {}, {"flow_slug": "shop"}, "warning", "flow shop: deleted with all its runs"),
    (
        "poll.stop",
        {"duration": 0.1, "task_count": 2},
        {"worker_id": WORKER_ID, "flow_slug": "shop", "active_tasks": 1},
        "debug",
        "flow shop: 2 tasks to start",
    ),
]


@pytest.mark.parametrize(("event", "measurements", "metadata", "level", "text"), LINES)
def test_events_are_logged(event: str, measurements: Any, metadata: Any, level: str, text: str) -> None:
    pretty = configured(form="pretty")
    copy_context().run(telemetry.emit, event, measurements, metadata)
    assert pretty.getvalue().split(" ", 1)[1] == f"{level.upper():<8} {text}\n"
    stream = configured()
    copy_context().run(telemetry.emit, event, measurements, metadata)
    (line,) = json_lines(stream)
    assert (line["event"], line["level"]) == (event, level)
    ids = {key: str(value) for key, value in metadata.items() if isinstance(value, UUID)}
    assert {**line, **measurements, **metadata, **ids} == line


def test_an_empty_poll_is_not_logged() -> None:
    stream = configured()
    metadata = {"worker_id": WORKER_ID, "flow_slug": "shop", "active_tasks": 1}
    telemetry.emit("poll.stop", {"duration": 0.1, "task_count": 0}, metadata)
    assert stream.getvalue() == ""


def test_outputs_are_never_logged() -> None:
    stream = configured()
    telemetry.emit("task.stop", {"duration": 0.25}, {**TASK_METADATA, "output": b'"secret"'})
    assert len(json_lines(stream)) == 1
    assert "secret" not in stream.getvalue()


def test_only_events_that_would_be_written_are_observed() -> None:
    configured("warning")
    assert [event for event in telemetry.ALL if telemetry.is_observed(event)] == [
        "task.start",  # for the fields of records within handlers
        "task.exception",
        "run.failed",
        "flow.deleted",
    ]


def test_the_formatter_of_somebody_else_writes_the_traceback_too() -> None:
    stream = io.StringIO()
    logging.basicConfig(stream=stream, format="%(levelname)s %(message)s", force=True)
    logs.log_events()
    fail_task(retry_delay=None, traceback="Traceback (most recent call last):\n  …")
    assert stream.getvalue() == (
        f"WARNING {NAME} failed, attempt 1 of 3, no other follows: ValueError: no money\n"
        "Traceback (most recent call last):\n  …\n"
    )


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_records_of_any_logger_within_a_handler_carry_its_task(form: logs.Format) -> None:
    stream = configured("info", form)

    def handler() -> None:
        telemetry.emit("task.start", {"system_time": 1.0}, TASK_METADATA)
        logging.getLogger("shop.payments").warning("card declined")

    copy_context().run(handler)
    logging.getLogger("shop.payments").warning("closing time")
    inside, outside = stream.getvalue().splitlines()
    if form == "json":
        assert (json.loads(inside)["run_id"], json.loads(inside)["message"]) == (str(RUN_ID), "card declined")
        assert "run_id" not in json.loads(outside)
    else:
        assert inside.endswith(f"WARNING  {NAME} card declined")
        assert outside.endswith("WARNING  closing time")


def test_what_a_handler_starts_is_not_taken_for_its_task() -> None:
    stream = configured()

    def handler() -> None:
        telemetry.emit("task.start", {"system_time": 1.0}, TASK_METADATA)
        telemetry.emit("run.started", {"system_time": 1.0}, {"flow_slug": "other", "run_id": WORKER_ID})

    copy_context().run(handler)
    line = json_lines(stream)[1]
    assert (line["flow_slug"], line["run_id"]) == ("other", str(WORKER_ID))
    assert "step_slug" not in line
