"""Binding a handler as a step of no flow."""

from __future__ import annotations

from pgflow.binding import Binding, bind
from pgflow.handlers import Handler


def bound(handler: Handler, known: tuple[str, ...] = (), depends_on: tuple[str, ...] = ()) -> Binding:
    return bind(handler, step_slug="step", known=known, depends_on=depends_on)


def bound_map(handler: Handler, known: tuple[str, ...] = (), over: str | None = None) -> Binding:
    return bind(handler, step_slug="step", step_type="map", known=known, depends_on=(over,) if over else ())
