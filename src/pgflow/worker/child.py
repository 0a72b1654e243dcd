"""The program of the processes that :mod:`pgflow.worker.processes` starts: takes requests, answers them, forwards logs.

Frames go back and forth through standard input and output: four bytes with the length, one with the kind, the rest.
When the input ends, the worker is gone, and so is the process at once. SIGTERM only says that the worker stops.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from typing import IO, Final

from pydantic_core import from_json, to_json

from pgflow.worker.remote import run

REQUEST: Final = b"Q"
READY: Final = b"H"
ANSWER: Final = b"A"
LOG_RECORD: Final = b"L"

_LENGTH_BYTES: Final = 4
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def read_frame(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return kind and content of the next frame; None at the end of the stream."""
    head = stream.read(_LENGTH_BYTES + 1)
    if len(head) <= _LENGTH_BYTES:
        return None
    length = int.from_bytes(head[:_LENGTH_BYTES])
    content = stream.read(length)
    return (head[_LENGTH_BYTES:], content) if len(content) == length else None


def write_frame(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    """Write a frame."""
    stream.write(len(content).to_bytes(_LENGTH_BYTES) + kind + content)
    stream.flush()


def main() -> None:
    """Answer requests until the worker is gone."""
    requests, answers = _take_over_standard_streams()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    write_frame(answers, READY, b"")
    writing = threading.Lock()
    _forward_logs(answers, writing)
    pending: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, pending), name="pgflow-requests", daemon=True).start()
    while True:
        answer = run(pending.get(), stopping.is_set)
        with writing:
            write_frame(answers, ANSWER, answer)


def levels() -> dict[str, int]:
    """Return the levels of all loggers that have one, for :func:`main` of another process."""
    loggers = logging.root.manager.loggerDict.items()
    found = {name: logger.level for name, logger in loggers if isinstance(logger, logging.Logger) and logger.level}
    return found | {"": logging.root.level}


def handle_record(content: bytes) -> None:
    """Hand a record that came from another process to the logger that it was written to."""
    record = logging.makeLogRecord(from_json(content))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _take_over_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes for frames alone: what handlers print goes to standard error, and they have nothing to read."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


def _read(requests: IO[bytes], pending: queue.SimpleQueue[bytes]) -> None:
    while frame := read_frame(requests):
        pending.put(frame[1])
    os._exit(0)


def _forward_logs(answers: IO[bytes], writing: threading.Lock) -> None:
    for name, level in from_json(sys.argv[1]).items():
        logging.getLogger(name).setLevel(level)
    logging.root.addHandler(_Forwarding(answers, writing))


class _Forwarding(logging.Handler):
    """Sends records to the worker."""

    def __init__(self, answers: IO[bytes], writing: threading.Lock) -> None:
        super().__init__()
        self._answers = answers
        self._writing = writing

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record with its fields; what isn't JSON becomes text."""
        traceback = logging.Formatter().formatException(record.exc_info) if record.exc_info else record.exc_text
        fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        fields |= {key: getattr(record, key) for key in ("name", "levelno", "levelname", "created", "msecs")}
        fields |= {key: getattr(record, key) for key in ("pathname", "lineno", "funcName", "process", "threadName")}
        fields |= {"msg": record.getMessage(), "exc_text": traceback}
        content = to_json(fields, fallback=repr, inf_nan_mode="constants")
        with self._writing:
            write_frame(self._answers, LOG_RECORD, content)
