"""Calls of sessions that LISTEN."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pgflow.calls.call import Call, nothing


def register_listener(listener_id: UUID, topic: Literal["runs", "tasks"], seconds: int = 60) -> Call[None]:
    """Ask for notifications for so many seconds: `pgflow.register_listener`."""
    return Call("select pgflow.register_listener(%s, %s, %s)", (listener_id, topic, seconds), nothing)


def unregister_listener(listener_id: UUID) -> Call[None]:
    """Ask for notifications no more: `pgflow.unregister_listener`."""
    return Call("select pgflow.unregister_listener(%s)", (listener_id,), nothing)
