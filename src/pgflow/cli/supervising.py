"""A command in a process of its own that is started anew when a file changes."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pgflow.cli import environment
from pgflow.cli.lifeline import EMBEDDED, READY, RESTARTED
from pgflow.cli.output import COMMAND, command_name, errors
from pgflow.cli.watching import INTERVAL_SECONDS, Watcher

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOWN_FILES = 3
_LAST_SECONDS = 10
"""What a worker gets beyond its own grace, before it is killed."""


class Supervisor:
    """Runs `pgflow ARGUMENTS` until SIGINT, SIGTERM or SIGHUP, and anew after each change below `root`.

    Its handlers get `grace` seconds to finish, as the arguments should say too. A worker that never came to run ends
    it all, with its exit code; one that ended later is started again after the next change.
    """

    def __init__(self, arguments: Sequence[str], root: Path, *, grace: float) -> None:
        self._arguments = arguments
        self._root = root
        self._grace = grace
        self._signals = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._told = b""
        self.has_run = False
        """Whether a worker ever came to run."""

    @property
    def uses_embedded_server(self) -> bool:
        """Whether a worker told so."""
        return EMBEDDED in self._told

    def run(self) -> int:
        """Run until asked to stop. Return the exit code of the command."""
        with self._counted_signals():
            watcher = Watcher(self._root)
            self._start()
            try:
                return self._follow(watcher)
            finally:
                self._end()

    def _follow(self, watcher: Watcher) -> int:
        while not self._signals:
            code = self._wait()
            if code is not None and not self.has_run:
                return code
            if changed := watcher.changed():
                self._say(f"{_listed(changed)} changed; starting the worker anew")
                self._end()
                if not self._signals:
                    self._start()
            elif code is not None:
                self._process = None
                self._say("the worker has ended; it is started again when a file changes")
        return 0

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            # A group of its own: Ctrl-C reaches this process alone, which then asks the worker to stop.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pgflow", *self._arguments, "--lifeline", str(descriptor)],
                stdin=subprocess.DEVNULL,
                pass_fds=[descriptor],
                env={
                    **environment.without_file(),
                    COMMAND: command_name(),
                    RESTARTED: "1" if self.has_run else "",
                },
                process_group=0,
            )
        self._socket = ours

    def _wait(self) -> int | None:
        """Listen for a moment. Return the exit code of a process that has ended."""
        self._listen(INTERVAL_SECONDS)
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            self._listen(0)
        return code

    def _listen(self, seconds: float) -> None:
        if self._socket is None or not select.select([self._socket], [], [], seconds)[0]:
            if self._socket is None:
                time.sleep(seconds)
            return
        said = self._socket.recv(1024)
        self._told += said
        self.has_run = self.has_run or READY in self._told
        if not said:
            self._hang_up()

    def _end(self) -> None:
        """Ask the worker to stop, again for each further signal, and kill it when it takes too long."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            passed_on = max(self._signals, 1)
            deadline = time.monotonic() + self._grace + _LAST_SECONDS
            while process.poll() is None:
                if self._signals > passed_on:
                    passed_on = self._signals
                    process.terminate()
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(0.02)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @contextmanager
    def _counted_signals(self) -> Iterator[None]:
        def count(_number: int, _frame: FrameType | None) -> None:
            self._signals += 1

        heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # as nohup wants it
        before = {number: signal.signal(number, count) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _say(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            errors.print(text, style="bold", markup=False, highlight=False, soft_wrap=True)


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_SHOWN_FILES])
    return shown if len(paths) <= _SHOWN_FILES else f"{shown} and {len(paths) - _SHOWN_FILES} more"
