"""`pgflow start --inputs`: a run for each line, and what is said when it ends early; keys, tags and times of starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

SLOW = "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(%s); return null; end $$"
SLOWLY = "create trigger slowly after insert on pgflow.runs for each statement execute function slow()"


def inputs(url: str) -> list[Any]:
    """Return the inputs of all runs, in their order."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("select input from pgflow.runs order by (input #>> '{}')::int, run_id").fetchall()
    return [value for (value,) in rows]


def one(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchone()[0]


def write(folder: Path, text: str | bytes, name: str = "lines.jsonl") -> str:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


@pytest.fixture
def slow_starts(compiled: str) -> Iterator[Callable[[float], None]]:
    """Lets every batch take so many seconds."""

    def slow_down(seconds: float) -> None:
        with psycopg.connect(compiled, autocommit=True) as connection:
            connection.execute(SLOW % seconds)
            connection.execute(SLOWLY)

    yield slow_down
    with psycopg.connect(compiled, autocommit=True) as connection:
        connection.execute("drop function if exists slow cascade")


# What is started


def test_there_is_a_run_for_each_line_of_a_file(pgflow, compiled, folder):
    ended = pgflow("start", "second", "--inputs", write(folder, "1\n2\n3\n"))
    assert (ended.code, ended.errors, inputs(compiled)) == (0, "", [1, 2, 3])
    assert ended.output.startswith("3 runs were started in ")


def test_lines_come_from_standard_input(pgflow, compiled):
    assert pgflow("start", "second", "--inputs", "-", stdin="1\n2\n").code == 0
    assert inputs(compiled) == [1, 2]


@pytest.mark.parametrize("text", ["", "\n", "  \n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_nothing_is_started_where_no_line_is(pgflow, compiled, folder, text):
    ended = pgflow("start", "second", "--inputs", write(folder, text))
    assert (ended.code, ended.output.split(" in ")[0], inputs(compiled)) == (0, "0 runs were started", [])


@pytest.mark.parametrize(
    "text", ["1\n2", "1\r\n2\r\n", "\n\n1\n\n \n2\n\n", b"\xef\xbb\xbf1\n2\n", "  1  \n\t2", b"1\n\x0c\n2\n"]
)
def test_lines_may_look_otherwise(pgflow, compiled, folder, text):
    assert pgflow("start", "second", "--inputs", write(folder, text)).code == 0
    assert inputs(compiled) == [1, 2]


def test_any_json_stands_on_a_line(pgflow, compiled, folder):
    values = [0, False, "", None, [], {}, {"ü": "日本語"}, 2**70, "x" * 200_000]
    write(folder, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
    ended = pgflow("start", "second", "--inputs", "lines.jsonl", "--json")
    assert ended.code == 0
    ids = [json.loads(line)["run_id"] for line in ended.output.splitlines()]
    with psycopg.connect(compiled) as connection:
        found = dict(connection.execute("select run_id::text, input from pgflow.runs").fetchall())
    assert [found[run_id] for run_id in ids] == values


def test_ids_are_printed_as_lines_of_json(pgflow, compiled, folder):
    ended = pgflow("start", "second", "--inputs", write(folder, "1\n\n2\n"), "--json")
    printed = [json.loads(line) for line in ended.output.splitlines()]
    assert [(each["line"], each["existed"]) for each in printed] == [(1, False), (3, False)]
    assert one(compiled, f"select input from pgflow.runs where run_id = '{printed[1]['run_id']}'") == 2
    assert ended.errors.startswith("2 runs were started in ")


def test_many_lines_are_started_in_batches(pgflow, compiled, folder):
    ended = pgflow("start", "second", "--inputs", write(folder, "".join(f"{n}\n" for n in range(1201))))
    assert ended.output.startswith("1,201 runs were started in ")
    assert inputs(compiled) == list(range(1201))
    assert one(compiled, "select count(distinct started_at) from pgflow.runs") == 3


# Keys, tags, times


def test_a_field_of_each_line_is_its_key(pgflow, compiled, folder):
    write(folder, '{"id": 1}\n{"id": "b"}\n{"id": "1"}\n')
    command = ("start", "second", "--inputs", "lines.jsonl", "--key-field", "id", "--tag", "nightly")
    assert pgflow(*command).output.startswith("2 runs were started, 1 had been before in ")
    assert pgflow(*command).output.startswith("0 runs were started, 3 had been before in ")
    assert one(compiled, "select array_agg(key order by key) from pgflow.run_keys") == ["1", "b"]
    assert one(compiled, "select count(*) from pgflow.run_tags where tag = 'nightly'") == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("7", "there is no field 'id' for the key"),
        ('{"ID": 1}', "there is no field 'id' for the key"),
        ('{"id": null}', "field 'id' must be a text or an integer to be a key"),
        ('{"id": true}', "field 'id' must be a text or an integer"),
        ('{"id": 1.5}', "field 'id' must be a text or an integer"),
        ('{"id": ""}', "a key has 1 to 255 characters, not 0"),
        ('{"id": "\\u0000"}', "a key can't contain NUL"),
    ],
)
def test_a_line_without_its_key_is_named(pgflow, compiled, folder, line, problem):
    ended = pgflow("start", "second", "--inputs", write(folder, f"{line}\n"), "--key-field", "id")
    assert (ended.code, ended.errors.count("\n")) == (2, 1)
    assert f"line 1 of lines.jsonl: {problem}" in ended.errors


def test_one_run_is_started_with_a_key_once(pgflow, compiled):
    first = pgflow("start", "second", "-i", "1", "--key", "order 7", "--tag", "x", "--tag", "y")
    again = pgflow("start", "second", "-i", "2", "--key", "order 7")
    assert (again.code, again.output, again.errors) == (0, first.output, "a run with this key was there\n")
    assert pgflow("start", "second", "--key", "order 7", "--json").json["existed"]
    assert inputs(compiled) == [1]
    assert one(compiled, "select array_agg(tag order by tag) from pgflow.run_tags") == ["x", "y"]


@pytest.mark.parametrize("options", [["--input", "1"], ["--inputs", "-"]])
@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (["--delay", "60"], 60),
        (["--delay", "1h30m"], 5400),
        (["--at", "2000-01-01T00:00Z"], 0),
        (["--at", "9999-01-01T00:00+01:00"], 2**31),
    ],
)
def test_first_tasks_wait(pgflow, compiled, options, time, seconds):
    assert pgflow("start", "second", *options, *time, stdin="1\n").code == 0
    waiting = one(compiled, "select greatest(extract(epoch from vt - clock_timestamp()), 0)::float8 from pgmq.q_second")
    assert waiting == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--at", "2030-01-01T00:00"], "--at '2030-01-01T00:00' has no time zone; add Z for UTC, or an offset"),
        (["--at", "tomorrow"], "--at 'tomorrow' is no time; write it like 2030-01-31T09:00:00+01:00"),
        (["--at", ""], "--at '' is no time"),
        (["--at", "2030-01-01T00:00Z", "--delay", "5"], "delay and at exclude each other"),
        (["--delay", "-1"], "a delay must be from 0"),
        (["--delay", "nan"], "a delay must be from 0"),
        (["--delay", "soon"], "--delay is a number with a unit, like 30d, 12h, 90m or 45s, not 'soon'"),
        (["--tag", ""], "a tag has 1 to 100 characters, not 0"),
        (["--key", ""], "a key has 1 to 255 characters, not 0"),
        (["--key-field", "id"], "--key-field is for the lines of --inputs; one run takes --key"),
        (["--inputs", "-", "--input", "{}"], "--input is for one run, and --inputs starts many: leave one of them out"),
        (["--inputs", "-", "--key", "k"], "--key is for one run, and --inputs starts many"),
        (["--inputs", "-", "--wait"], "--wait is for one run"),
        (["--inputs", "-", "--tag", "x" * 101], "a tag has 1 to 100 characters, not 101"),
        (["--inputs", "-", "--delay", "inf"], "a delay must be from 0"),
        (["--inputs", "missing.jsonl"], "can't read the inputs from missing.jsonl: "),
        (["--inputs", ""], "can't read the inputs from : "),
        (["--inputs", "."], "can't read the inputs from .: "),
    ],
)
def test_options_that_make_no_sense_are_refused(pgflow, compiled, folder, options, problem):
    ended = pgflow("start", "second", *options, stdin="1\n")
    assert (ended.code, ended.errors.count("\n"), ended.output) == (2, 1, "")
    assert problem in ended.errors
    assert inputs(compiled) == []


# Ending early


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{number: 7}", "not JSON: key must be a string at column 2; each line is one JSON value"),
        ("[1,", "not JSON: EOF while parsing a value at column 3; each line is one JSON value"),
        ("NaN", "not JSON"),
        ("1 2", "not JSON: trailing characters"),
        (b"\xff", "not JSON"),
        (b"\xff\xfe1\x00", "not JSON"),
        ('"\\u0000"', "the text holds a NUL character"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 700])
def test_a_bad_line_is_named_and_all_before_it_are_started(pgflow, compiled, folder, line, problem, before):
    bad = line if isinstance(line, bytes) else line.encode()
    write(folder, b"".join(b"%d\n" % n for n in range(before)) + bad + b"\n999\n")
    ended = pgflow("start", "second", "--inputs", "lines.jsonl")
    assert (ended.code, ended.errors.count("\n"), ended.output) == (2, 1, "")
    assert f"line {before + 1} of lines.jsonl: " in ended.errors
    assert problem in ended.errors
    assert inputs(compiled) == list(range(before))
    if before:
        were = "1 run was" if before == 1 else f"{before} runs were"
        assert ended.errors.endswith(
            f"; {were} started; go on with: tail -n +{before + 1} lines.jsonl | pgflow start second --inputs -\n"
        )


def test_what_is_said_to_go_on_goes_on(pgflow, compiled, folder):
    write(folder, "1\n2\n\nbad\n4\n", "two words.jsonl")
    command = ("start", "second", "--inputs", "two words.jsonl", "--tag", "a b", "--delay", "60")
    told = pgflow(*command).errors
    write(folder, "1\n2\n\n3\n4\n", "two words.jsonl")
    program = f"{sys.executable} -m pgflow start"
    hint = told.partition("go on with: ")[2].replace("pgflow start", program)
    subprocess.run(hint, shell=True, check=True, capture_output=True)
    assert inputs(compiled) == [1, 2, 3, 4]
    assert one(compiled, "select count(*) from pgflow.run_tags where tag = 'a b'") == 4


def test_from_standard_input_the_line_is_told(pgflow, compiled):
    ended = pgflow("start", "second", "--inputs", "-", stdin="1\nbad\n")
    assert "line 2 of standard input: not JSON" in ended.errors
    assert ended.errors.endswith("; 1 run was started; go on from line 2\n")


def test_a_line_that_the_flow_refuses_is_named(pgflow, compiled, write_module, folder):
    write_module("map_module", "from pgflow import Flow\nmaps = Flow('maps')\n@maps.map\ndef a(n: int) -> int: ...\n")
    assert pgflow("compile", "map_module:maps").code == 0
    write(folder, "".join("7\n" if n == 333 else f"[{n}]\n" for n in range(600)))
    ended = pgflow("start", "maps", "--inputs", "lines.jsonl")
    assert ended.code == 2
    assert "line 334 of lines.jsonl: Flow maps has root map steps but input is not an array" in ended.errors
    assert one(compiled, "select count(*) from pgflow.runs") == 333


def test_an_unknown_flow_is_named(pgflow, compiled, folder):
    ended = pgflow("start", "unknown", "--inputs", write(folder, "1\n2\n"))
    assert ended.code == 2
    assert ended.errors == "pgflow: flow 'unknown' is not in the database; register it with `pgflow compile APP`\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_batch_end_and_says_how_many_were_started(spawn, compiled, folder, slow_starts, number):
    slow_starts(0.5)
    write(folder, "".join(f"{n}\n" for n in range(20_000)))
    process = spawn("start", "second", "--inputs", "lines.jsonl")
    while one(compiled, "select count(*) from pgflow.runs") == 0:
        assert process.poll() is None
    process.send_signal(number)
    output, told = process.communicate(timeout=60)
    count = one(compiled, "select count(*) from pgflow.runs")
    assert (process.returncode, output) == (130, "")
    assert told.startswith(f"interrupted: {count:,} runs were started; go on with: tail -n +{count + 1} lines.jsonl | ")
    assert inputs(compiled) == list(range(count))


def test_a_signal_while_it_waits_for_lines_ends_it(compiled, folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", "start", "second", "--inputs", "-", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(b"%d\n" % n for n in range(501)))
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == b"interrupted: 500 runs were started; go on from line 501\n"
    assert inputs(compiled) == list(range(500))


@pytest.mark.parametrize("options", [[], ["--key-field", "id"]])
def test_a_lost_connection_says_what_nobody_knows(spawn, compiled, folder, slow_starts, options):
    write(folder, "".join(f'{{"id": {n}}}\n' for n in range(2000)))
    slow_starts(1)
    process = spawn("start", "second", "--inputs", "lines.jsonl", *options)
    end = """
        select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep' and exists (select from pgflow.runs)
    """
    while one(compiled, end) == 0:
        assert process.poll() is None
    _, told = process.communicate(timeout=60)
    count = one(compiled, "select count(*) from pgflow.runs")
    assert process.returncode == 3
    assert f"; {count:,} runs were started, and nobody knows about lines {count + 1} to {count + 500}, whose" in told
    assert (f"their keys make it safe to start them again: go on with: tail -n +{count + 1} " in told) == bool(options)
