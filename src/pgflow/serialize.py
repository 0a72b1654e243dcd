"""JSON at the edges: encode what handlers return, decode what the database holds, describe what was raised.

Encoding refuses whatever jsonb refuses, and whatever JSON would lose without saying so, and names the place:
`$.pages[3].title: …`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from pgflow.errors import InvalidInput
from pgflow.types import Json

DEFAULT_OUTPUT_LIMIT = 8 * 1024 * 1024
"""Bytes of JSON that one task may return unless the worker is told otherwise."""

ERROR_LIMIT = 10_000
"""Characters kept of an error's description."""

_DEPTH_LIMIT = 254
_SHOWN_PATH = 200
_SAFE_LEAVES = frozenset((str, int, bool, type(None), datetime, date, time, timedelta, UUID, Decimal))
_PLAIN_CONTAINERS = frozenset((list, tuple, set, frozenset))


def encode(value: object, *, limit: int | None = None, what: str = "output") -> bytes:
    """Return the JSON text of a value: plain values, pydantic models, dataclasses, dates, UUIDs, Decimals, enums, sets.

    `limit` is the largest size allowed, in bytes; None allows any. `what` names the value in the message about its
    size. Raises :class:`InvalidInput` for values that JSON or jsonb can't hold: NaN and infinities, NUL characters,
    lone surrogates, circular or too deeply nested values, unknown types, keys that become the same text.
    """
    data = _to_json(value)
    if not _loses_nothing(value):
        _inspect(value)
    if b"NaN" in data or b"Infinity" in data or b"\\u0000" in data:
        _inspect(from_json(data))
    if limit is not None and len(data) > limit:
        raise InvalidInput(_too_large(data, limit, what))
    return data


def decode(data: bytes | str) -> Json:
    """Return the value of a JSON text; integers of any size are exact.

    Raises :class:`InvalidInput` with line and column if the text isn't JSON.
    """
    try:
        return from_json(data, allow_inf_nan=False)
    except TypeError as error:
        raise InvalidInput("not JSON: the text holds a lone surrogate") from error
    except ValueError as error:
        if "recursion limit" in str(error):
            return _decode_deep(data)
        raise InvalidInput(f"not JSON: {error}") from error


def describe_error(error: BaseException) -> str:
    """Return `TypeName: message` for an exception, as text that PostgreSQL can store.

    NUL characters and lone surrogates are replaced, and the text is cut at 10,000 characters. Never raises, even if
    the exception has no working message.
    """
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:
        message = "its message can't be shown"
    text = f"{name}: {message}" if message else name
    return storable(_shortened(text, ERROR_LIMIT))


def _decode_deep(data: bytes | str) -> Json:
    """Decode what is nested deeper than the fast decoder allows."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise InvalidInput("not usable JSON: nested too deeply") from error
    except ValueError as error:
        raise InvalidInput(f"not JSON: {error}") from error


def _to_json(value: object) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except Exception as error:
        _inspect(value)
        raise InvalidInput(f"$: {describe_error(error)}") from error


def _loses_nothing(value: object) -> bool:
    """Whether a value holds only types whose JSON is known to say all: no odd keys, no NaN that models turn to null."""
    if type(value) in _SAFE_LEAVES:
        return True
    unseen: list[Any] = [value]
    while unseen:
        part = unseen.pop()
        kind = type(part)
        if kind in _SAFE_LEAVES or (kind is float and math.isfinite(part)):
            continue
        parts = _plain_parts(part, kind)
        if parts is None:
            return False
        unseen += [child for child in parts if type(child) not in _SAFE_LEAVES]
    return True


def _plain_parts(part: Any, kind: type[Any]) -> Iterable[Any] | None:
    """Return the children of a container, or None for what needs a closer look."""
    if kind is dict:
        return None if any(type(key) is not str for key in part) else part.values()
    if kind in _PLAIN_CONTAINERS:
        return cast("Iterable[Any]", part)
    if isinstance(part, BaseModel):
        return (*vars(part).values(), *(part.__pydantic_extra__ or {}).values())
    if is_dataclass(kind):
        return [getattr(part, name, None) for name in kind.__dataclass_fields__]
    return None


def _inspect(value: object, path: str = "$", enclosing: tuple[int, ...] = ()) -> None:
    """Raise for the first part that can't be stored, naming its path."""
    problem = _problem_of(value, enclosing)
    if problem:
        raise InvalidInput(f"{_shortened(path, _SHOWN_PATH)}: {problem}")
    if isinstance(value, dict):
        _inspect_keys(value, path)
    for label, child in _children(value):
        _inspect(child, path + label, (*enclosing, id(value)))


def _problem_of(value: object, enclosing: tuple[int, ...]) -> str | None:
    """Return what is wrong with this part itself, its children left aside."""
    match value:
        case str():
            return _problem_of_text(value)
        case float():
            return None if math.isfinite(value) else f"{value} is no JSON number; use None or a text"
        case dict() | list() | tuple() | set() | frozenset() | BaseModel():
            return _problem_of_nesting(value, enclosing)
        case bytes():
            return _problem_of_bytes(value)
        case _ if is_dataclass(value):
            return _problem_of_nesting(value, enclosing)
        case _:
            return _problem_of_leaf(value)


def _problem_of_text(text: str) -> str | None:
    if "\0" in text:
        return "the text holds a NUL character, which PostgreSQL can't store"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"the text holds a lone surrogate at position {error.start}, which is no character"
    return None


def _problem_of_bytes(data: bytes) -> str | None:
    try:
        return _problem_of_text(data.decode())
    except UnicodeDecodeError:
        return "the bytes are no UTF-8 text; encode them, as base64 for example"


def _problem_of_nesting(value: object, enclosing: tuple[int, ...]) -> str | None:
    if id(value) in enclosing:
        return "the value contains itself"
    if len(enclosing) > _DEPTH_LIMIT:
        return f"nested deeper than {_DEPTH_LIMIT} levels"
    return None


def _problem_of_leaf(value: object) -> str | None:
    try:
        to_json(value, inf_nan_mode="constants")
    except Exception as error:
        unknown = "unknown type" in str(error)
        return f"{type(value).__name__} can't be stored as JSON" + ("" if unknown else f": {describe_error(error)}")
    return None


def _inspect_keys(mapping: dict[Any, Any], path: str) -> None:
    seen: dict[str, object] = {}
    for key in mapping:
        text = _key_text(key, path)
        problem = _problem_of_text(text)
        if problem:
            raise InvalidInput(f"{_shortened(path, _SHOWN_PATH)}: key {text!r}: {problem}")
        if text in seen:
            both = f"keys {seen[text]!r} and {key!r}"
            raise InvalidInput(f"{_shortened(path, _SHOWN_PATH)}: {both} become the same text {json.dumps(text)}")
        seen[text] = key


def _key_text(key: object, path: str) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    try:
        (text,) = from_json(to_json({key: None}))
    except Exception as error:
        name = type(key).__name__
        raise InvalidInput(f"{_shortened(path, _SHOWN_PATH)}: {name} can't be a key in JSON") from error
    return str(text)


def _children(value: object) -> Iterator[tuple[str, object]]:
    """Yield the parts of a container, each with its step of the path."""
    match value:
        case dict():
            for key, child in value.items():
                yield _label(key), child
        case list() | tuple() | set() | frozenset():
            for index, child in enumerate(value):
                yield f"[{index}]", child
        case BaseModel() if "ser_json_inf_nan" not in value.model_config:
            for name, child in value:
                yield _label(name), child
        case _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield _label(field.name), getattr(value, field.name, None)


def _label(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    return f"[{json.dumps(key) if isinstance(key, str) else repr(key)}]"


def _too_large(data: bytes, limit: int, what: str) -> str:
    path, size = _largest_part(from_json(data) if len(data) > 1 else None)
    place = "" if path == "$" else f"; the largest part is {_shortened(path, _SHOWN_PATH)} ({_size(size)})"
    allowed = f"{what} is {_size(len(data))}, more than the {_size(limit)} allowed"
    return f"{allowed}{place}; store it elsewhere and return a reference"


def _largest_part(value: object) -> tuple[str, int]:
    """Return path and size in bytes of the deepest part that makes up most of the value, or of its largest child."""
    path, size = "$", len(to_json(value))
    while children := list(_children(value)):
        label, child = max(children, key=lambda pair: len(to_json(pair[1])))
        child_size = len(to_json(child))
        if path != "$" and child_size < size / 2:
            break
        path, value, size = path + label, child, child_size
    return path, size


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} bytes"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} kB"
    return f"{count / 1024 / 1024:.1f} MB"


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def storable(text: str) -> str:
    """Return a text with what PostgreSQL can't store, NUL characters and lone surrogates, replaced."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
