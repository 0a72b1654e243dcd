"""JSON as Python values, and SQL NULL, which JSON doesn't have."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

Json: TypeAlias = Any
"""A JSON value as `json.loads` gives it; JSON null is `None`."""


class _SqlNull(Enum):
    SQL_NULL = "SQL NULL"

    def __repr__(self) -> str:
        return self.name


SQL_NULL: Final = _SqlNull.SQL_NULL
Value: TypeAlias = Json | Literal[_SqlNull.SQL_NULL]
"""What a column of type jsonb holds."""


def as_text(value: Value) -> str | None:
    """Write a value in one way only, so that 1 differs from true; `None` is SQL NULL."""
    return None if value is SQL_NULL else json.dumps(value, sort_keys=True, ensure_ascii=False)


def as_json(value: Value) -> Json:
    """Turn SQL NULL into JSON null, as every JSON document does that takes in a column."""
    return None if value is SQL_NULL else value


def type_name(value: Value) -> str:
    """Name the JSON type; SQL NULL counts as null."""
    if value is SQL_NULL or value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def contains(document: Json, pattern: Json) -> bool:
    """Say whether a document contains a pattern in the sense of jsonb's operator `@>`; patterns are objects."""
    if type_name(document) != type_name(pattern):
        return False
    if isinstance(pattern, dict):
        return all(key in document and contains(document[key], part) for key, part in pattern.items())
    if isinstance(pattern, list):
        return all(any(contains(element, part) for element in document) for part in pattern)
    return bool(document == pattern)
