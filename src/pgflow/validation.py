"""Values checked against types, in both directions, with the place of each fault."""

from __future__ import annotations

import json
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from pgflow.errors import DefinitionError, InvalidInput
from pgflow.types import Json

T = TypeVar("T")

_SHOWN_FAULTS: Final = 5


def adapter_for(kind: type[T], place: str) -> TypeAdapter[T]:
    """Return what checks values of a type. Raises :class:`DefinitionError`, naming the place, for what is no type."""
    try:
        adapter: TypeAdapter[T] = TypeAdapter(kind)
        adapter.rebuild(raise_errors=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise DefinitionError(f"{place}: values of {kind!r} can't be validated: {reason}") from error
    return adapter


def read(adapter: TypeAdapter[T], value: Json, name: str) -> T:
    """Return what a JSON value stands for. Raises :class:`InvalidInput`, naming the fields that are wrong.

    It is validated as JSON, not as Python values: only so does `datetime | str` give a datetime back.
    """
    try:
        return adapter.validate_json(to_json(value, inf_nan_mode="constants"))
    except ValidationError as error:
        raise InvalidInput(_faults(name, error)) from error


def check(adapter: TypeAdapter[T], value: object, name: str) -> T:
    """Return a Python value as one of the type. Raises :class:`InvalidInput`, naming the fields that are wrong."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise InvalidInput(_faults(name, error)) from error


def _faults(name: str, error: ValidationError) -> str:
    """Return one text with the path and message of the first faults."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{name}{''.join(map(_label, fault['loc']))}: {fault['msg']}" for fault in faults[:_SHOWN_FAULTS]]
    if len(faults) > _SHOWN_FAULTS:
        shown.append(f"and {len(faults) - _SHOWN_FAULTS} more")
    return "; ".join(shown)


def _label(part: int | str) -> str:
    if isinstance(part, str) and part.isidentifier():
        return f".{part}"
    return f"[{json.dumps(part, ensure_ascii=False)}]"
