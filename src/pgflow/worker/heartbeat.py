"""Heartbeats, on a thread and a connection of their own: no handler, and no queue for a connection, can hold them up.

A handler that blocks the event loop doesn't matter to a thread, and neither does Python code that computes, since the
interpreter gives each thread its turn. What can starve it is a call into C that keeps the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg import Connection

from pgflow import calls
from pgflow._sync.performing import run_on
from pgflow.calls import Call
from pgflow.types import Heartbeat
from pgflow.worker.outage import Outage

logger = logging.getLogger("pgflow.worker")

LONGEST_INTERVAL = 20.0
"""Who looks at workers takes one for stale that hasn't been heard of for 30 seconds."""

_LONGEST_FAREWELL = 5.0
_RETRY_SECONDS = 2.0

Connect: TypeAlias = Callable[[], Connection[tuple[Any, ...]]]
Run: TypeAlias = Callable[[Connection[tuple[Any, ...]], Call[Heartbeat]], Heartbeat]


class HeartbeatThread:
    """Says every `interval` seconds that workers are alive, and puts stalled tasks back every `recovery_interval`.

    Both are one statement when they fall together; `run` runs it on the connection. `on_deprecated` is called in the
    thread with the ids of the workers that the database asks to leave, again with each heartbeat.
    """

    def __init__(
        self,
        connect: Connect,
        workers: Mapping[UUID, str],
        function_name: str,
        *,
        interval: float,
        recovery_interval: float,
        on_deprecated: Callable[[Sequence[UUID]], None],
        run: Run = run_on,
    ) -> None:
        if not 0 < interval <= LONGEST_INTERVAL:
            raise ValueError(
                f"heartbeat_interval must be more than 0 and at most {LONGEST_INTERVAL:g} s, not {interval}"
            )
        if recovery_interval <= 0:
            raise ValueError(f"recovery_interval must be positive, not {recovery_interval}")
        self._connect = connect
        self._run = run
        self._workers = workers
        self._function_name = function_name
        self._interval = interval
        self._recovery_interval = recovery_interval
        self._on_deprecated = on_deprecated
        self._connection: Connection[tuple[Any, ...]] | None = None
        self._beat_at = self._recover_at = 0.0
        self._leaving = False
        self._stopped = False
        self._wake = threading.Event()
        self._outage = Outage("heartbeats fail; the worker goes on")
        self._thread = threading.Thread(target=self._live, name="pgflow-heartbeat", daemon=True)

    @property
    def age(self) -> float | None:
        """Seconds since the last heartbeat, or since the start; None when it doesn't run."""
        return time.monotonic() - self._beat_at if self._thread.is_alive() else None

    def start(self) -> None:
        """Start the thread; its first heartbeat comes after one interval."""
        self._beat_at = time.monotonic()
        self._recover_at = self._beat_at + self._recovery_interval
        self._thread.start()

    def leave(self) -> None:
        """Send a heartbeat at once that says that the workers take no more tasks."""
        self._leaving = True
        self._wake.set()

    async def stop(self) -> None:
        """End the thread, but don't wait long for a database that doesn't answer; again is fine."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, _LONGEST_FAREWELL)

    def _live(self) -> None:
        pause = self._pause()
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._stopped:
                break
            pause = self._pause() if self._try_beat() else min(_RETRY_SECONDS, self._interval)
        self._disconnect()

    def _pause(self) -> float:
        """Return the seconds until the next heartbeat, which vary: workers started together don't stay in step."""
        return min(self._interval, self._recovery_interval) * random.uniform(0.9, 1)  # noqa: S311 - no secret

    def _try_beat(self) -> bool:
        try:
            heartbeat = self._beat()
        except psycopg.Error as error:
            self._disconnect()
            self._outage.tell(error)
            return False
        except Exception:
            logger.exception("a heartbeat failed, the next one comes")
            return False
        self._outage.end()
        self._beat_at = time.monotonic()
        _tell_of_recovery(heartbeat)
        if heartbeat.deprecated_ids:
            self._on_deprecated(heartbeat.deprecated_ids)
        return True

    def _beat(self) -> Heartbeat:
        if self._connection is None:
            self._connection = self._connect()
        is_recovery_due = time.monotonic() >= self._recover_at - 0.1 * self._recovery_interval
        call = calls.keep_alive(self._workers, self._function_name, leaving=self._leaving, recover=is_recovery_due)
        heartbeat = self._run(self._connection, call)
        if is_recovery_due:
            self._recover_at = time.monotonic() + self._recovery_interval
        return heartbeat

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tell_of_recovery(heartbeat: Heartbeat) -> None:
    if heartbeat.requeued_count:
        logger.warning("put %d stalled tasks back into their queues", heartbeat.requeued_count)
    if heartbeat.failed_count:
        logger.error("failed %d tasks that stalled again and again", heartbeat.failed_count)
    if heartbeat.recovery_error:
        logger.error("recovery of stalled tasks failed: %s", heartbeat.recovery_error)
