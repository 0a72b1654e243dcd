"""The half of the client that concerns definitions: registering flows, changing, deleting and looking at them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

from pgflow import arguments, calls, graph, telemetry
from pgflow._async.connection import Database
from pgflow.errors import FlowNotFound, FlowShapeMismatch, NotGranted
from pgflow.flow import Flow
from pgflow.graph import FlowDefinition
from pgflow.handlers import Handler
from pgflow.runtime_flow import StepSpec, shape_of
from pgflow.serialize import encode

logger = logging.getLogger("pgflow.client")


class Definitions:
    """Calls that concern definitions."""

    database: Database

    async def ensure_compiled(self, flow: Flow, *, allow_data_loss: bool = False) -> str:
        """Register the flow, or compare it with the one registered. Gives `compiled`, `verified` or `recompiled`.

        Raises DefinitionError for a flow without steps, and FlowShapeMismatch, which changes nothing, when the shapes
        differ. With `allow_data_loss` the registered flow is then deleted with all its runs and registered anew.
        Options that differ are only logged as a warning: those in the database count. A role that may only work
        compares: FlowNotFound then says that the owner has to register the flow first.
        """
        flow.check()
        shape = encode(flow.shape)
        status, differences = await self.database.run(calls.compare_flow(flow.slug, shape))
        if status != "verified":
            try:
                status, differences = await self.database.run(
                    calls.ensure_flow_compiled(flow.slug, shape, allow_data_loss=allow_data_loss)
                )
            except NotGranted as refused:
                if allow_data_loss:
                    raise
                if status == "missing":
                    raise FlowNotFound(flow.slug) from refused
        if status == "mismatch":
            raise FlowShapeMismatch(flow.slug, differences)
        if status == "verified":
            await self._look_at_the_rest(flow)
        telemetry.emit("flow.ensured", {}, {"flow_slug": flow.slug, "status": status})
        return status

    async def compile(self, flow: Flow, *, allow_data_loss: bool = False) -> str:
        """Do what :meth:`ensure_compiled` does."""
        return await self.ensure_compiled(flow, allow_data_loss=allow_data_loss)

    async def upsert_flow(
        self,
        slug: str,
        steps: Iterable[StepSpec],
        *,
        max_attempts: int = 3,
        base_delay: int = 1,
        timeout: int = 60,
        on_conflict: Literal["recreate", "if_changed", "error"] = "recreate",
    ) -> str:
        """Register a flow that is plain data (:class:`pgflow.StepSpec`). Gives `compiled`, `recompiled` or `verified`.

        **This deletes**: a flow of this slug that exists is removed with all its runs, and registered anew. With
        `on_conflict="if_changed"` only if its steps differ; with `"error"` never: FlowShapeMismatch is raised then.
        Where the flow is kept, it gets the options given here. Raises DefinitionError, listing every problem with
        its code. Its steps are worked by handlers that :meth:`load_flow` looks up.
        """
        shape = shape_of(slug, steps, max_attempts=max_attempts, base_delay=base_delay, timeout=timeout)
        if on_conflict not in ("recreate", "if_changed", "error"):
            raise ValueError(f"on_conflict must be 'recreate', 'if_changed' or 'error', not {on_conflict!r}")
        status, differences = await self.database.run(
            calls.upsert_flow(shape.slug, encode(graph.to_json(shape)), on_conflict)
        )
        if status == "mismatch":
            raise FlowShapeMismatch(shape.slug, differences)
        telemetry.emit("flow.ensured", {}, {"flow_slug": shape.slug, "status": status})
        return status

    async def delete_flow(self, flow: Flow | str) -> None:
        """Delete a flow with its definition, all its runs and its queue. One that isn't there is no error."""
        slug = arguments.flow_slug(flow)
        await self.database.run(calls.delete_flow_and_data(slug))
        telemetry.emit("flow.deleted", {}, {"flow_slug": slug})

    async def flow_exists(self, flow: Flow | str) -> bool:
        """Whether a flow is registered in the database."""
        return await self.database.run(calls.flow_exists(arguments.flow_slug(flow)))

    async def list_flows(self) -> list[FlowDefinition]:
        """Return all flows of the database, by slug, as they are registered there."""
        return await self.database.run(calls.list_flows())

    async def get_flow(self, flow: Flow | str) -> FlowDefinition:
        """Return a flow as it is registered in the database. Raises FlowNotFound."""
        slug = arguments.flow_slug(flow)
        found = await self.database.run(calls.list_flows([slug]))
        if not found:
            raise FlowNotFound(slug)
        return found[0]

    async def load_flow(self, flow: Flow | str, handlers: Mapping[str, Handler]) -> Flow:
        """Return a flow of the database with handlers for its steps, ready for a worker.

        `handlers` are looked up by `flow_slug.step_slug`, then by `step_slug`. Beside the parameters that every handler
        may have, one may have a parameter of any other name: it receives what the step's input is, wherever it stands.
        Raises FlowNotFound, and DefinitionError for steps without handlers.
        """
        return Flow.from_shape(await self.get_flow(flow), handlers)

    def valid_slug(self, slug: object) -> bool:
        """Whether a text can name a step; a flow's slug is also at most 47 characters long."""
        return graph.is_valid_slug(slug)

    async def _look_at_the_rest(self, flow: Flow) -> None:
        """Warn of other options, and let what has become a job be listed as one."""
        for registered in await self.database.run(calls.list_flows([flow.slug])):
            for difference in graph.option_differences(flow.flow_shape, registered):
                logger.warning("flow %s: %s; the database counts", flow.slug, difference)
            if flow.flow_type == "job" != registered.flow_type:
                with suppress(NotGranted):
                    await self.database.run(calls.set_flow_type(flow.slug, "job"))
