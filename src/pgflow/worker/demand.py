"""Which flows to ask for tasks, and for how many, so that what waits in a worker takes little memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgflow.types import StartedTask
from pgflow.worker.pace import Pace

LARGEST_RESERVE_BYTES = 4 * 1024 * 1024
"""What the inputs of the tasks that wait for a handler take, as JSON text: room for 1,000 of 4 kB."""

_PARTIAL_DEMANDS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Demand:
    """Ask for up to `room` tasks of these flows; whether there is room for fewer tasks of flows that were left out.

    `size` is how many bytes may come that there is no place for at a handler.
    """

    flow_slugs: Sequence[str] = ()
    room: int = 0
    is_partial: bool = False
    size: int = 0


class Sizes:
    """Learns how many bytes the tasks of each flow take: inputs while they wait, outputs when they have ended.

    Large ones count at once, small ones only in the long run. As long as nothing is known of a flow it is taken for one
    with large tasks.
    """

    def __init__(self) -> None:
        self._inputs: dict[str, float] = {}
        self._outputs: dict[str, float] = {}

    def arrived(self, task: StartedTask) -> None:
        """Learn from a task that has arrived."""
        _learn(self._inputs, task.flow_slug, task.input_size)

    def ended(self, task: StartedTask, output: bytes | None) -> None:
        """Learn from a task that has ended."""
        _learn(self._outputs, task.flow_slug, 0 if output is None else len(output))

    def fitting(self, flow_slug: str, space: int) -> int:
        """Return how many tasks of a flow fit into so many bytes: one at least, unless there is no space at all."""
        return max(space // self.size(flow_slug), 1) if space > 0 else 0

    def size(self, flow_slug: str) -> int:
        """Return how many bytes a task of a flow takes: one at least."""
        if flow_slug not in self._outputs:
            return LARGEST_RESERVE_BYTES
        return max(int(self._inputs.get(flow_slug, 0)), int(self._outputs[flow_slug]), 1)


class Appetite:
    """Says what to ask for.

    A place for a handler is filled with a task of any size. Beyond that, a flow gets what fits into the reserve, so
    there is room for more tasks of one flow than of another. Most exchanges ask for as many as there is room for of the
    flows with the smallest tasks. The others ask all flows, those of the largest first, for no more than there is room
    for of each: that is every fourth one, and what follows an answer that hasn't brought all that was asked for.
    """

    def __init__(self, pace: Pace, sizes: Sizes) -> None:
        self._pace = pace
        self._sizes = sizes
        self._is_more_there = False
        self._partial_demands = 0

    def demand(self, flow_slugs: Iterable[str], held: int, waiting_bytes: int) -> Demand:
        """Return what to ask for by a worker that holds so many tasks, and whose waiting ones have so long inputs.

        What was asked for and hasn't come counts with both.
        """
        rooms = self._rooms(flow_slugs, held, waiting_bytes)
        if not rooms:
            return Demand()
        asks_all = not self._is_more_there or self._partial_demands >= _PARTIAL_DEMANDS_IN_A_ROW
        self._partial_demands = 0 if asks_all else self._partial_demands + 1
        room = (min if asks_all else max)(rooms.values())
        asked = sorted((slug for slug, fitting in rooms.items() if fitting >= room), key=rooms.__getitem__)
        waiting = max(room - max(self._pace.concurrency - held, 0), 0)
        size = waiting * max(map(self._sizes.size, asked))
        return Demand(asked, room, is_partial=len(asked) < len(rooms), size=size)

    def answered(self, demand: Demand, count: int) -> None:
        """Learn how many tasks have come."""
        if demand.room:
            self._is_more_there = count >= demand.room

    def _rooms(self, flow_slugs: Iterable[str], held: int, waiting_bytes: int) -> Mapping[str, int]:
        """Return how many tasks of each flow there is room for, where there is any."""
        most = self._pace.capacity - held
        free = max(self._pace.concurrency - held, 0)
        space = LARGEST_RESERVE_BYTES - waiting_bytes
        rooms = {slug: min(most, free + self._sizes.fitting(slug, space)) for slug in flow_slugs}
        return {slug: room for slug, room in rooms.items() if room > 0}


def _learn(known: dict[str, float], flow_slug: str, size: int) -> None:
    before = known.get(flow_slug)
    known[flow_slug] = size if before is None or size > before else before + (size - before) / 16
