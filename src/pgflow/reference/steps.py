"""What a procedure is: a generator that gives calls, is sent their answers, and returns its own."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from pgflow.calls import Call
from pgflow.reference.inline import Argument

T = TypeVar("T")
Steps: TypeAlias = Generator[Call[Any], Any, T]
Arguments: TypeAlias = Sequence[Argument]
Known: TypeAlias = Collection[str]
"""The functions, by name, and the columns, as `table.column`, that the schema has."""
