"""JSON lines: a value on each line of a file or of standard input, in batches."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pgflow import arguments
from pgflow.errors import InvalidInput
from pgflow.serialize import decode
from pgflow.types import Json

BATCH_LINES = 500
"""Runs that are started together. Larger batches are hardly faster, and an interruption waits for the end of one."""
BATCH_BYTES = 4_000_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that isn't blank: its number, from 1, its value, and the key that a field of it holds."""

    number: int
    value: Json
    key: str | None


@dataclass
class Source:
    """Where lines come from; `consumed` counts bytes, of `size` where that is known."""

    stream: BinaryIO
    path: str | None
    size: int | None = None
    consumed: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path or "standard input"

    def batches(self, key_field: str | None) -> Iterator[list[Line]]:
        """Yield the lines in batches. Raises InvalidInput for a bad line, when those before it have been yielded."""
        batch: list[Line] = []
        began = self.consumed
        try:
            for line in self._lines(key_field):
                batch.append(line)
                if len(batch) == BATCH_LINES or self.consumed - began >= BATCH_BYTES:
                    yield batch
                    batch, began = [], self.consumed
        except InvalidInput:
            if batch:
                yield batch
            raise
        if batch:
            yield batch

    def going_on(self, number: int, command: str) -> str:
        """Return what to do to go on from a line."""
        if self.path is None:
            return f"go on from line {number}"
        return f"go on with: tail -n +{number} {shlex.quote(self.path)} | {command} --inputs -"

    def bad_line(self, number: int, problem: object) -> InvalidInput:
        """Return an error that names the line."""
        return InvalidInput(f"line {number} of {self.name}: {problem}")

    def _lines(self, key_field: str | None) -> Iterator[Line]:
        for number, raw in enumerate(self.stream, 1):
            self.consumed += len(raw)
            text = (raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw).strip()
            if not text:
                continue
            try:
                value = decode(text)
                key = None if key_field is None else _key_in(value, key_field)
            except InvalidInput as error:
                problem = str(error).replace(" at line 1 column ", " at column ")
                hint = "; each line is one JSON value" if problem.startswith("not JSON") else ""
                raise self.bad_line(number, f"{problem}{hint}") from error
            yield Line(number, value, key)


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open a file, or standard input for `-`. Raises InvalidInput for a file that can't be read."""
    if path == "-":
        yield Source(sys.stdin.buffer, None)
        return
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - closed below; only errors of opening are explained
    except (OSError, ValueError) as error:
        raise InvalidInput(f"can't read the inputs from {path}: {error}") from error
    with stream:
        found = os.fstat(stream.fileno())
        yield Source(stream, path, found.st_size if stat.S_ISREG(found.st_mode) else None)


def _key_in(value: Json, key_field: str) -> str:
    if not isinstance(value, dict) or key_field not in value:
        raise InvalidInput(f"there is no field {key_field!r} for the key")
    found = value[key_field]
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise InvalidInput(f"field {key_field!r} must be a text or an integer to be a key")
    return arguments.key(str(found))
