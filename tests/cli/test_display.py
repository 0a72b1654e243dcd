"""How a run looks on terminals of different sizes."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from rich.cells import cell_len
from rich.console import Console

from client.workbench import Workbench
from pgflow.cli.output import age, command_name, duration
from pgflow.cli.picture import Dependencies, RunPicture
from pgflow.types import RunRow, StepProgress, StepState

RUN_ID = UUID("00000000-0000-4000-8000-000000000001")
NOW = datetime(2025, 1, 1, tzinfo=UTC)
WIDE = "幅の広い文字 🎉 "


def step(slug: str, status: str, **values: object) -> StepState:
    fields: dict[str, object] = dict.fromkeys(StepState.__dataclass_fields__)
    fields |= {"run_id": RUN_ID, "flow_slug": "flow", "step_slug": slug, "status": status, "remaining_deps": 0}
    return StepState(**{**fields, "created_at": NOW, **values})  # type: ignore[arg-type]


def shown(
    steps: list[StepState],
    progress: dict[str, StepProgress] | None = None,
    width: int = 80,
    *,
    dependencies: Dependencies | None = None,
    terminal: bool = True,
    goes_on: bool = False,
    **options: object,
) -> list[str]:
    end = None if goes_on else NOW + timedelta(seconds=1.5)
    run = RunRow(RUN_ID, "flow", "started" if goes_on else "completed", {}, None, 0, NOW, end, None)
    console = Console(width=width, height=24, force_terminal=terminal, color_system=None, legacy_windows=False)
    picture = RunPicture(run, steps, progress or {}, dependencies or {}, **options)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(picture, soft_wrap=not terminal)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_run_is_one_line_and_each_step_is_one() -> None:
    end = NOW + timedelta(milliseconds=350)
    assert shown([step("first", "completed", started_at=NOW, completed_at=end), step("second", "created")]) == [
        f"flow  completed  1.5 s  {RUN_ID}",
        "✔ first   350 ms",
        "· second",
    ]


def test_a_map_has_a_bar_and_a_count() -> None:
    progress = {"each": StepProgress("each", 2, 0, 2, 0, 3, None)}
    lines = shown([step("each", "started", started_at=NOW, initial_tasks=4)], progress)
    assert "━━━━━━━" in lines[1]
    assert lines[1].endswith("2/4, attempt 3")


def test_a_map_says_how_many_of_its_tasks_run_and_have_failed() -> None:
    progress = {"each": StepProgress("each", 9_000, 10, 1_234, 1, 1, None)}
    (_, line) = shown(
        [step("each", "started", started_at=datetime.now(UTC), initial_tasks=10_245)], progress, goes_on=True
    )
    assert line.endswith("━─────────────  1,234/10,245, 10 running, 1 failed")


def test_what_a_failed_run_left_does_not_go_on() -> None:
    progress = {"each": StepProgress("each", 2, 1, 1, 0, 1, None)}
    (_, line) = shown([step("each", "started", started_at=NOW, initial_tasks=4)], progress)
    assert line.split()[2:4] == ["1.5", "s"]
    assert line.endswith("1/4")


def test_an_error_is_one_line_below_the_steps() -> None:
    failed = step("bad", "failed", started_at=NOW, failed_at=NOW, error_message="ValueError: no\nsecond line")
    assert shown([failed, step("after", "created")])[-1] == "bad: ValueError: no"


def test_the_error_of_an_attempt_is_shown_until_a_later_one_succeeds() -> None:
    progress = {"try": StepProgress("try", 1, 0, 0, 0, 1, "ValueError: once")}
    assert "try: ValueError: once" in shown([step("try", "started", started_at=NOW)], progress)
    done = step("try", "completed", started_at=NOW, completed_at=NOW)
    assert not any("once" in line for line in shown([done], progress))


def test_control_characters_of_an_error_do_not_reach_the_terminal() -> None:
    failed = step("bad", "failed", error_message="\x1b[2J\x07boom")
    assert not any("\x1b" in line or "\x07" in line for line in shown([failed]))


def test_a_skipped_step_says_why() -> None:
    assert shown([step("a", "skipped", skip_reason="condition_unmet")])[1].endswith("condition unmet")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    steps = [
        step("s" * 128, "started", started_at=datetime.now(UTC), initial_tasks=4),
        step("bad", "failed", started_at=NOW, failed_at=NOW, error_message=WIDE * 30),
        step("skipped", "skipped", skip_reason="dependency_skipped"),
    ]
    lines = shown(steps, {"s" * 128: StepProgress("s" * 128, 1, 1, 2, 0, 12, WIDE * 30)}, width)
    assert max(map(cell_len, lines)) <= width
    if width >= 80:
        assert len(lines) == 6


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 ms"), (0.35, "350 ms"), (12.34, "12.3 s"), (245, "4 min 5 s"), (7384, "2 h 3 min")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(NOW, NOW + timedelta(seconds=seconds)) == text


def test_a_duration_without_an_end_is_empty() -> None:
    assert duration(NOW, None) == duration(None, NOW) == ""


@pytest.mark.parametrize("arguments", [["start", "greeting", "--wait", "--timeout", "0.3"], ["run", "{}", "--watch"]])
def test_a_terminal_sees_colours_and_a_live_tree(pgflow, compiled, folder, arguments) -> None:
    run_id = pgflow("start", "greeting").output.strip()
    if "--watch" in arguments:
        with psycopg.connect(compiled, autocommit=True) as connection:
            Workbench(connection).fail("no paper")
    text = on_terminal([argument.format(run_id) for argument in arguments])
    assert "\x1b[" in text
    assert "greet" in text


def test_a_terminal_sees_how_far_a_bulk_start_has_come(compiled, folder) -> None:
    (folder / "lines.jsonl").write_text("1\n" * 1500)
    text = on_terminal(["start", "greeting", "--inputs", "lines.jsonl"])
    assert "starting greeting" in text
    assert "1,000 runs" in text
    assert "1,500 runs were started in " in text


def on_terminal(arguments: list[str]) -> str:
    """Run a command on a pseudo-terminal of 80 columns and return all that it writes."""
    process, terminal = pty.fork()
    if process == 0:
        variables = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
        os.execve(sys.executable, [sys.executable, "-m", "pgflow", *arguments], variables)
    text = b"".join(iter(reader(terminal), b""))
    os.waitpid(process, 0)
    os.close(terminal)
    return text.decode()


def reader(terminal: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            return b""

    return read


def test_the_command_is_named_as_it_was_called(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    program = tmp_path / "pgflow"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [".venv/bin/pgflow"])
    assert command_name() == ".venv/bin/pgflow"
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert command_name() == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_name() == "pgflow"
    monkeypatch.setattr(sys, "argv", ["/somewhere/pgflow/__main__.py"])
    assert command_name() == f"{sys.executable} -m pgflow"


DIAMOND = {"fetch": [], "links": ["fetch"], "check": ["links"], "words": ["fetch"], "save": ["check", "words"]}


def test_steps_are_a_tree_by_what_they_wait_for() -> None:
    steps = [step(slug, "created") for slug in ("save", "words", "check", "links", "fetch")]
    assert shown(steps, dependencies=DIAMOND)[1:] == [
        "· fetch",
        "· ├─ words",
        "· └─ links",
        "·    check",
        "· save",
    ]


def test_steps_are_a_list_where_nothing_is_known_about_them() -> None:
    steps = [step(slug, "created") for slug in ("save", "new")]
    assert shown(steps, dependencies=DIAMOND)[1:] == ["· save", "· new"]


@pytest.mark.parametrize("width", [20, 80, 140])
def test_a_live_run_with_many_steps_shows_those_around_what_goes_on(width: int) -> None:
    steps = [step(f"done_{n}", "completed", started_at=NOW, completed_at=NOW) for n in range(20)]
    steps += [step("now", "started", started_at=datetime.now(UTC))]
    steps += [step(f"next_{n}", "created") for n in range(20)]
    lines = shown(steps, width=width, live=True, dependencies={each.step_slug: [] for each in steps})
    assert len(lines) <= 24
    assert lines[1].startswith("  … 14 steps above"[:width])
    assert any("now" in line for line in lines)
    assert lines[-1].startswith("  … 7 steps below"[:width])


def test_a_live_run_shows_some_of_many_errors_and_when_the_database_is_away() -> None:
    steps = [step(f"bad_{n}", "failed", error_message=f"error {n}") for n in range(9)]
    lines = shown(steps, live=True, trouble="the database hasn't answered for 5 s; trying again")
    assert lines[1] == "the database hasn't answered for 5 s; trying again"
    assert lines[-2:] == ["bad_3: error 3", "… 5 more errors"]


def test_tags_are_below_the_flow() -> None:
    assert shown([], tags=["blue", "re\x1bd"])[1:] == ["tags blue, re d"]


def test_a_pipe_gets_everything_uncut() -> None:
    failed = step("s" * 128, "failed", started_at=NOW, failed_at=NOW, error_message=WIDE * 60)
    lines = shown([failed], terminal=False)
    assert "s" * 128 in lines[1]
    assert lines[2] == f"{'s' * 128}: {WIDE * 60}".rstrip()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0ms"), (0.35, "350ms"), (12.9, "12s"), (245, "4m05s"), (7384, "2h03m"), (86400 * 400, "400d")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(NOW, NOW + timedelta(seconds=seconds)) == text


def test_what_has_not_ended_has_no_age() -> None:
    assert age(NOW, None) == age(None, NOW) == ""
