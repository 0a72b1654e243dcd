"""Calls for operators: single steps of what the engine does by itself, and who may do what."""

from __future__ import annotations

from uuid import UUID

from pgflow.calls.call import Call, first_value, nothing


def cascade_resolve_conditions(run_id: UUID) -> Call[bool]:
    """Resolve the conditions of a run: `pgflow.cascade_resolve_conditions`. Gives false if the run failed."""
    return Call("select pgflow.cascade_resolve_conditions(%s)", (run_id,), first_value)


def cascade_complete_taskless_steps(run_id: UUID) -> Call[int]:
    """Complete steps that have no tasks: `pgflow.cascade_complete_taskless_steps`. Gives their number."""
    return Call("select pgflow.cascade_complete_taskless_steps(%s)", (run_id,), first_value)


def start_ready_steps(run_id: UUID) -> Call[None]:
    """Start the steps that are ready: `pgflow.start_ready_steps`."""
    return Call("select pgflow.start_ready_steps(%s)", (run_id,), nothing)


def maybe_complete_run(run_id: UUID) -> Call[None]:
    """Complete a run in which no step remains: `pgflow.maybe_complete_run`."""
    return Call("select pgflow.maybe_complete_run(%s)", (run_id,), nothing)


def grant_starter(role: str) -> Call[None]:
    """Let a role start runs and look at those: `pgflow.grant_starter`."""
    return Call("select pgflow.grant_starter(%s)", (role,), nothing)


def grant_worker(role: str) -> Call[None]:
    """Let a role work: `pgflow.grant_worker`."""
    return Call("select pgflow.grant_worker(%s)", (role,), nothing)


def revoke_grants(role: str) -> Call[None]:
    """Take from a role what it was granted: `pgflow.revoke_grants`."""
    return Call("select pgflow.revoke_grants(%s)", (role,), nothing)
