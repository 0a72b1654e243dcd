"""Where handlers with `executor="process"` run: child processes that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Final

from pgflow.worker.child import ANSWER, LOG_RECORD, READY, REQUEST, handle_record, levels, read_frame, write_frame
from pgflow.worker.pools import ThreadPool

TASKS_PER_PROCESS: Final = 100
_PROGRAM: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); from pgflow.worker.child import main; main()"
)


class ProcessEnded(Exception):
    """The process of a handler ended before the handler did."""


class ProcessPool:
    """At most `size` child processes, each for one handler at a time; new ones are started when needed.

    A process is replaced after 100 tasks, so that what handlers leave behind doesn't add up. Threads of the pool given
    wait for answers.
    """

    def __init__(self, threads: ThreadPool, size: int) -> None:
        if size < 1:
            raise ValueError(f"processes must be at least 1, not {size}")
        self._threads = threads
        self._free = asyncio.Semaphore(size)
        self._children: set[_Child] = set()
        self._idle: list[_Child] = []
        self._stopping = False

    async def call(self, request: bytes) -> bytes:
        """Return a process's answer. Cancelling kills the process with all that it has started.

        Raises :class:`ProcessEnded` when it ended without an answer.
        """
        async with self._free:
            child = self._idle.pop() if self._idle else self._new_child()
            try:
                answer = await self._threads.call(partial(child.ask, request))
            except BaseException:
                child.kill()
                self._children.discard(child)
                raise
            self._put_back(child)
            return answer

    def announce_stop(self) -> None:
        """Let the handlers that run see that the worker stops."""
        self._stopping = True
        for child in self._children:
            child.announce_stop()

    def close(self) -> None:
        """End all processes."""
        for child in self._children:
            child.kill()
        self._children.clear()
        self._idle.clear()

    def _new_child(self) -> _Child:
        child = _Child()
        if self._stopping:
            child.announce_stop()
        self._children.add(child)
        return child

    def _put_back(self, child: _Child) -> None:
        if child not in self._children:  # closed meanwhile
            return
        if child.answered < TASKS_PER_PROCESS:
            self._idle.append(child)
        else:
            self._children.discard(child)
            child.kill()


class _Child:
    """A child process, started with the first request. Only :meth:`ask` may block for long."""

    def __init__(self) -> None:
        self.answered = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = False
        self._ready = False
        self._stop_announced = False
        self._killed = False
        self._changing = threading.Lock()

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for the answer; log records that come before it are handed on."""
        process = self._begin()
        try:
            answer = self._answer(process, request)
        except OSError:  # a broken pipe: how the process ended says more
            answer = None
        if answer is None:
            raise ProcessEnded(_how(_reap(process)))
        with self._changing:
            self._asking = False
            if self._killed:
                _reap(process)
        self.answered += 1
        return answer

    def kill(self) -> None:
        """Kill the process and everything that it has started, now or as soon as it is there."""
        with self._changing:
            self._killed = True
            if self._process is None:
                return
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            if not self._asking:
                _reap(self._process)

    def announce_stop(self) -> None:
        """Let the handler see that the worker stops."""
        with self._changing:
            self._stop_announced = True
            if self._process is not None and self._ready:
                self._process.terminate()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._changing:
            if self._killed:
                raise ProcessEnded("it was not started any more")
            if self._process is None:
                self._process = _start()
            self._asking = True
            return self._process

    def _answer(self, process: subprocess.Popen[bytes], request: bytes) -> bytes | None:
        assert process.stdin is not None
        assert process.stdout is not None
        write_frame(process.stdin, REQUEST, request)
        while frame := read_frame(process.stdout):
            kind, content = frame
            if kind == ANSWER:
                return content
            if kind == LOG_RECORD:
                handle_record(content)
            elif kind == READY:
                self._ready = True
                if self._stop_announced:
                    self.announce_stop()
        return None


def _start() -> subprocess.Popen[bytes]:
    path = json.dumps(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(levels()), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a group of its own, to be killed together, and no Ctrl-C of the terminal's
    )


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process that ends, and close its pipes."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(OSError):  # what is left in its buffer can't be sent any more
            pipe.close()
    return process.wait()


def _how(status: int) -> str:
    if status >= 0:
        return f"the process of the handler exited with {status} before the handler had ended"
    return f"the process of the handler was killed by {signal.Signals(-status).name}"
