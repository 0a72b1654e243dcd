"""Keeps a session that listens while somebody wants to be told of something."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeAlias
from uuid import uuid4

import psycopg
from psycopg import Notify

from pgflow.errors import PgFlowError
from pgflow.listening.session import REGISTRATION_SECONDS, CannotListen, Session

logger = logging.getLogger("pgflow.listener")

Topic: TypeAlias = Literal["runs", "tasks"]

_RENEWAL_SECONDS = REGISTRATION_SECONDS * 2 / 3
_LINGER_SECONDS = 60.0
_SETTLING_SECONDS = 2.0
_FIRST_BACKOFF = 0.2
_LONGEST_BACKOFF = 30.0
_BACKOFF_WHEN_REFUSED = 60.0
_BACKOFF_WHEN_IMPOSSIBLE = 300.0
_FAREWELL_SECONDS = 2.0


@dataclass(eq=False)
class Subscription:
    """Somebody's wish to be told of a topic; ended by :meth:`close`. A context manager."""

    listener: Listener = field(repr=False)
    topic: Topic
    wake: Callable[[str], None] = field(repr=False)

    def close(self) -> None:
        """Be told no more; again is fine."""
        self.listener.unsubscribe(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Listener:
    """Tells subscribers of a topic what was notified; one connection for all of them, opened with the first.

    `url` is asked for a session connection before each attempt. Where that is a connection pooler nothing is tried,
    unless `through_pooler`. With `enabled` false there never is a connection. Notifications only make things faster:
    subscribers look themselves now and then, often while :meth:`is_settled` is false.

    All methods are for the event loop that subscribes first. It can be used again after :meth:`close`.
    """

    def __init__(self, url: Callable[[], str], *, through_pooler: bool = False, enabled: bool = True) -> None:
        self._url = url
        self._through_pooler = through_pooler
        self._enabled = enabled
        self._subscriptions: set[Subscription] = set()
        self._overhearing: list[tuple[Topic, Callable[[str], None]]] = []
        self._linger_until: dict[Topic, float] = {}
        self._listening_since: dict[Topic, float] = {}
        self._settled: set[Topic] = set()
        self._registered_until = float("-inf")
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()  # of the loop that it was first waited for in, hence a new one for each task
        self._has_complained = False

    def subscribe(self, topic: Topic, wake: Callable[[str], None]) -> Subscription:
        """Call `wake` with the payload of each notification, from now until the subscription is closed.

        An empty payload means look yourself: also when listening begins, when it has settled, and when it is
        interrupted. `wake` must neither block nor raise.
        """
        subscription = Subscription(self, topic, wake)
        self._subscriptions.add(subscription)
        if self._enabled:
            if self._task is None or self._task.done():
                self._closing = asyncio.Event()
                self._task = asyncio.create_task(self._keep_listening(), name="pgflow-listener")
            elif self._session is not None and topic not in self._listening_since:
                self._session.interrupt()
        return subscription

    def overhear(self, topic: Topic, wake: Callable[[str], None]) -> None:
        """Call `wake` as for a subscription and before those, for ever, but don't listen for its sake."""
        self._overhearing.append((topic, wake))

    def disable(self) -> None:
        """Never connect, because nobody notifies in this database; subscribers look themselves."""
        self._enabled = False

    def unsubscribe(self, subscription: Subscription) -> None:
        """Do what :meth:`Subscription.close` does."""
        if subscription in self._subscriptions:
            self._subscriptions.discard(subscription)
            # Whoever waits for one run often waits for another one soon.
            self._linger_until[subscription.topic] = time.monotonic() + _LINGER_SECONDS

    def is_settled(self, topic: Topic) -> bool:
        """Whether a change committed from now on is notified.

        A transaction that was under way when listening began may have found nobody who listens, so some time must have
        passed since. A registration that couldn't be prolonged in time, as by a process that was held up, has run out.
        """
        return topic in self._settled and time.monotonic() < self._registered_until

    async def close(self) -> None:
        """End all subscriptions and close the connection; again is fine."""
        self._subscriptions.clear()
        self._linger_until.clear()
        self._closing.set()
        if self._task is not None:
            task, self._task = self._task, None
            if self._session is not None:
                self._session.interrupt()
                await asyncio.wait({task}, timeout=_FAREWELL_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_listening(self) -> None:
        backoff = _FIRST_BACKOFF
        while self._wanted() and not self._closing.is_set():
            try:
                await self._listen()
                backoff = _FIRST_BACKOFF
            except CannotListen as error:
                backoff = _BACKOFF_WHEN_IMPOSSIBLE
                self._complain(error)
            except (psycopg.OperationalError, PgFlowError, OSError) as error:
                backoff = _FIRST_BACKOFF if self._settled else min(backoff * 2, _LONGEST_BACKOFF)
                self._complain(error)
            except psycopg.Error as error:  # no privilege, no schema, a server that is read-only
                backoff = _BACKOFF_WHEN_REFUSED
                self._complain(error)
            finally:
                self._stop_telling()
            await self._pause(backoff)

    async def _listen(self) -> None:
        """Listen on one connection until it breaks, or nobody has wanted it for a while."""
        async with await Session.open(self._url(), uuid4(), through_pooler=self._through_pooler) as session:
            self._session = session
            renewal_at = time.monotonic()
            while (topics := self._wanted()) and not self._closing.is_set():
                if self._registered_until <= time.monotonic():
                    self._distrust()
                if renewal_at <= time.monotonic() or topics != set(self._listening_since):
                    await self._adjust(session, topics)
                    renewal_at = time.monotonic() + _RENEWAL_SECONDS
                next_event = min(renewal_at, *self._ends_of_lingering(), *self._settle())
                await session.wait(next_event - time.monotonic(), self._hear)
            await session.unregister()

    async def _adjust(self, session: Session, topics: set[Topic]) -> None:
        """Listen to these topics and no others, and register; subscribers of new ones look after that."""
        new = topics - set(self._listening_since)
        await session.listen(new)
        await session.unlisten(set(self._listening_since) - topics)
        asked_at = time.monotonic()
        await session.register(topics)
        self._registered_until = asked_at + REGISTRATION_SECONDS
        now = time.monotonic()
        self._listening_since = {topic: self._listening_since.get(topic, now) for topic in topics}
        self._settled &= topics
        for topic in new:
            self._tell(topic, "")
        if self._has_complained:
            self._has_complained = False
            logger.info("listening again")

    def _wanted(self) -> set[Topic]:
        """Topics with subscriptions, and those that had some until a short while ago."""
        now = time.monotonic()
        self._linger_until = {topic: end for topic, end in self._linger_until.items() if end > now}
        return {subscription.topic for subscription in self._subscriptions} | set(self._linger_until)

    def _ends_of_lingering(self) -> list[float]:
        """Return when topics may be left; those that have subscriptions now will linger for that long at least."""
        subscribed = {subscription.topic for subscription in self._subscriptions}
        ends = [end for topic, end in self._linger_until.items() if topic not in subscribed]
        return [*ends, time.monotonic() + _LINGER_SECONDS]

    def _settle(self) -> list[float]:
        """Let subscribers of topics that have settled look once more, and return when the others will have."""
        ends = {topic: since + _SETTLING_SECONDS for topic, since in self._listening_since.items()}
        for topic, end in ends.items():
            if topic not in self._settled and end <= time.monotonic():
                self._settled.add(topic)
                self._tell(topic, "")
        return [end for topic, end in ends.items() if topic not in self._settled]

    def _stop_telling(self) -> None:
        """Let subscribers look themselves, from now on."""
        self._session = None
        self._distrust()

    def _distrust(self) -> None:
        """Let subscribers look, because something may have been missed; listening has to begin anew."""
        self._settled.clear()
        topics, self._listening_since = list(self._listening_since), {}
        for topic in topics:
            self._tell(topic, "")

    def _hear(self, notify: Notify) -> None:
        self._tell(notify.channel.removeprefix("pgflow_"), notify.payload)

    def _tell(self, topic: str, payload: str) -> None:
        for overheard, wake in self._overhearing:
            if overheard == topic:
                wake(payload)
        for subscription in list(self._subscriptions):
            if subscription.topic == topic:
                subscription.wake(payload)

    def _complain(self, error: Exception) -> None:
        """Say once that there is no listening, until there is again."""
        level = logging.DEBUG if self._has_complained else logging.WARNING
        reason = " ".join(str(error).split())
        logger.log(level, "can't listen for notifications, looking now and then instead: %s", reason)
        self._has_complained = True

    async def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass
