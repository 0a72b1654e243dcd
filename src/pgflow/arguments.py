"""What callers pass, checked and turned into what calls take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from pgflow.backoff import LONGEST_DELAY
from pgflow.errors import InvalidInput, RunNotFound
from pgflow.flow import Flow

LONGEST_KEY = 255
LONGEST_TAG = 100
MOST_TAGS = 20
LONGEST_REASON = 10_000


def flow_slug(flow: Flow | str) -> str:
    """Return the slug of a flow. Raises InvalidInput for what is neither a flow nor a text that PostgreSQL can hold."""
    return flow.slug if isinstance(flow, Flow) else text(flow, "a flow slug")


def flow_slugs(flows: Flow | str | Iterable[Flow | str] | None) -> list[str] | None:
    """Return the slugs of one or more flows; None stands for all."""
    if flows is None:
        return None
    if isinstance(flows, Flow | str) or not isinstance(flows, Iterable):
        return [flow_slug(flows)]
    return [flow_slug(flow) for flow in flows]


def run_id(value: UUID | str) -> UUID:
    """Return a run id. Raises RunNotFound for what is none."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise RunNotFound(value) from None


def reason(value: str | None) -> str | None:
    """Return a reason, None for one that is blank. Raises InvalidInput for one that is no text, or too long."""
    if value is None or not (said := text(value, "a reason").strip()):
        return None
    if len(said) > LONGEST_REASON:
        raise InvalidInput(f"a reason has at most {LONGEST_REASON} characters, not {len(said)}")
    return said


def new_run_id(value: UUID | str | None) -> UUID | None:
    """Return the id that a new run shall have. Raises InvalidInput for what is none."""
    try:
        return None if value is None else run_id(value)
    except RunNotFound:
        raise InvalidInput(f"a run id is a UUID, not {value!r}") from None


def text(value: object, what: str) -> str:
    """Return a text. Raises InvalidInput for what is none, and for characters that PostgreSQL doesn't hold."""
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} can't contain lone surrogates") from None
    if "\0" in value:
        raise InvalidInput(f"{what} can't contain NUL characters")
    return value


def key(value: object) -> str:
    """Return the key of a start. Raises InvalidInput for what is no text, empty, or too long."""
    checked = text(value, "a key")
    if not 1 <= len(checked) <= LONGEST_KEY:
        raise InvalidInput(f"a key has 1 to {LONGEST_KEY} characters, not {len(checked)}")
    return checked


def keys(values: Iterable[object] | None, count: int) -> list[str | None] | None:
    """Return a key, or None, for each of so many inputs; None if there is no key at all. Raises InvalidInput."""
    if values is None:
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidInput(f"keys is a list with a key for each input, not {values!r}")
    checked = [None if value is None else key(value) for value in values]
    if len(checked) != count:
        raise InvalidInput(f"{len(checked)} keys for {count} inputs; give one for each, None where there is none")
    return checked if any(each is not None for each in checked) else None


def tags(values: object) -> list[str]:
    """Return the distinct tags among one or more. Raises InvalidInput for others, or too many."""
    if isinstance(values, bytes) or not isinstance(values, Iterable):
        raise InvalidInput(f"tags is a list of texts, not {values!r}")
    checked = [text(value, "a tag") for value in ([values] if isinstance(values, str) else values)]
    for each in checked:
        if not 1 <= len(each) <= LONGEST_TAG:
            raise InvalidInput(f"a tag has 1 to {LONGEST_TAG} characters, not {len(each)}")
    distinct = list(dict.fromkeys(checked))
    if len(distinct) > MOST_TAGS:
        raise InvalidInput(f"a run has at most {MOST_TAGS} tags, not {len(distinct)}")
    return distinct


def delay_seconds(delay: float | timedelta | None) -> int:
    """Return a delay in whole seconds, rounded up. Raises InvalidInput for one that is negative, or no number."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else 0 if delay is None else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidInput(f"a delay is a number of seconds or a timedelta, not {delay!r}")
    if not 0 <= seconds <= LONGEST_DELAY:  # which NaN is not either
        raise InvalidInput(f"a delay must be from 0 to {LONGEST_DELAY} seconds, not {delay!r}")
    return math.ceil(seconds)


def instant(value: datetime | None, what: str) -> datetime | None:
    """Return a point in time. Raises InvalidInput for one without a time zone."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidInput(f"{what} is a datetime, not {value!r}")
    if value.utcoffset() is None:
        raise InvalidInput(f"{what} needs a time zone: datetime.now(UTC), or {value!r}.astimezone()")
    return value


def retention(older_than: timedelta | float) -> timedelta:
    """Return an age. Raises InvalidInput for one that is negative, too long, or no number of seconds."""
    if isinstance(older_than, timedelta):
        age = older_than
    else:
        try:
            age = timedelta(seconds=older_than)
        except (TypeError, ValueError, OverflowError):
            raise InvalidInput(f"older_than is a timedelta or a number of seconds, not {older_than!r}") from None
    if not timedelta(0) <= age <= timedelta(days=365_000):
        raise InvalidInput(f"older_than must be from 0 to 365,000 days, not {older_than!r}")
    return age


def size_of_page(limit: object) -> int:
    """Return how many rows a page shall have. Raises InvalidInput for less than one."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit < LONGEST_DELAY:
        raise InvalidInput(f"limit must be an integer of at least 1, not {limit!r}")
    return limit


def cursor(value: str | None) -> tuple[datetime, UUID] | None:
    """Return the place that a cursor of a page names. Raises InvalidInput for a text that is none."""
    if value is None:
        return None
    started_at, _, found = text(value, "a cursor").partition("/")
    try:
        place = datetime.fromisoformat(started_at), UUID(found)
        if place[0].utcoffset() is not None:
            return place
    except ValueError:
        pass
    raise InvalidInput(f"{value!r} is no cursor; pass the next_cursor of a page")


def cursor_of(started_at: datetime, found: UUID) -> str:
    """Return the cursor of a run: what comes behind it is older."""
    return f"{started_at.isoformat()}/{found}"
