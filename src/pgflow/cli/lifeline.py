"""What ties a worker that is started anew on changes to the command that does it.

The two ends of a pair of sockets: the worker tells through it that it runs, and ends when the other end is closed,
however the command has ended.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import Annotated

import typer

from pgflow import telemetry

READY = b"ready\n"
EMBEDDED = b"embedded\n"
RESTARTED = "PGFLOW_RESTARTED"
"""The environment variable that tells a worker that another one ran before it."""

LifelineOption = Annotated[int | None, typer.Option("--lifeline", hidden=True)]


class Lifeline:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        self.is_restart = bool(os.environ.pop(RESTARTED, None))

    def hold(self) -> None:
        """Tell when the worker runs, and ask it to stop when the command is gone."""
        threading.Thread(target=self._wait, name="pgflow-lifeline", daemon=True).start()
        telemetry.attach("pgflow.cli", "worker.start", lambda *_: self.tell(READY))

    def tell(self, word: bytes) -> None:
        """Tell something to the command, if it is there."""
        with suppress(OSError):
            self._socket.sendall(word)

    def _wait(self) -> None:
        with suppress(OSError):
            while self._socket.recv(64):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
