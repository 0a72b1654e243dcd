"""Which functions and columns a database has, and what becomes of a call there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pgflow.calls import Call
from pgflow.calls.call import Row
from pgflow.errors import NotInstalled, SchemaError, TooOld
from pgflow.reference.inline import Invocation, invocation, rewritten
from pgflow.reference.procedures import GIVING_ROWS, PROCEDURES
from pgflow.reference.sources import functions
from pgflow.reference.steps import Steps

T = TypeVar("T")

DETECTION_QUERY = """
select case when has_function_privilege(p.oid, 'execute') then 'function' else 'refused' end, p.proname::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'pgflow'
union all
select 'column', c.relname || '.' || a.attname from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'pgflow' and c.relkind in ('r', 'c')
union all
select 'column', 'pgmq.' || a.attname from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'pgmq' and c.relname = 'message_record'
"""
"""Functions and columns of schema `pgflow`, for :func:`detect`; asks catalogs, which need no privilege."""

_NEEDED = {
    "0.3.1": ("function", "set_vt_batch"),
    "0.6.0": ("column", "workers.deprecated_at"),
    "0.7.0": ("column", "step_task_record.task_index"),
}
_VERSIONS = {
    "0.14.0": "steps.when_unmet",
    "0.13.2": "step_tasks.requeued_count",
    "0.13.1": "step_states.output",
    "0.12.0": "step_task_record.flow_input",
    "0.10.0": "workers.stopped_at",
    "0.8.0": "pgmq.headers",
}
_OURS = "migrations.checksum"
_ADOPTED = "adopted_functions.signature"
_INCOMPLETE = {"get_run_with_states": "_read_run"}
"""Functions of the contract whose answer lacks something on old cores, and the one to ask instead."""


@dataclass(frozen=True, slots=True)
class Core:
    """What a schema `pgflow` of the reference has.

    `version` is the oldest release of the core that has all of it. `refused` are functions that this role may not call.
    """

    version: str
    functions: frozenset[str]
    refused: frozenset[str]
    columns: frozenset[str]

    @property
    def is_adopted(self) -> bool:
        """Whether `pgflow migrate --adopt` was here."""
        return _ADOPTED in self.columns

    def released(self) -> Core:
        """Return the same without what `pgflow migrate --adopt` has added."""
        ours = {name for name in functions() if name in self.functions}
        return replace(self, functions=self.functions - ours, columns=self.columns - {_ADOPTED})

    @property
    def _known(self) -> frozenset[str]:
        return self.columns | (self.functions if self.is_adopted else frozenset())

    def plan(self, call: Call[T]) -> Call[T] | Steps[T]:
        """Return what to run in place of a call: another call, or several, to be run in one transaction.

        Raises SchemaError for what this core has no way to do.
        """
        said = invocation(call)
        if said is None:
            return call
        procedure = PROCEDURES.get(said.name)
        if procedure is not None:
            steps = self._resolved(procedure(self._known, said.arguments))
            return _decoding(steps, call) if said.name in GIVING_ROWS else steps
        return self._call(call, said)

    def _call(self, call: Call[T], said: Invocation) -> Call[T]:
        name = said.name
        if name in _INCOMPLETE and "step_states.output" not in self.columns:
            name = _INCOMPLETE[name]
        elif name not in functions() and name in self.functions | self.refused:
            return call  # the contract's own
        function = functions().get(name)
        if function is None:
            raise SchemaError(
                f"pgflow.{name} doesn't exist in this database, whose schema pgflow was made by the reference's "
                f"migrations (core {self.version}), and nothing there can stand for it; use a database with `pgflow "
                "migrate` for it (`pgflow migrate --adopt` adds to such a schema what it can carry)"
            )
        return rewritten(call, said, function, is_installed=self.is_adopted and name in self.functions)

    def _resolved(self, steps: Steps[T]) -> Steps[T]:
        """Let each call of a procedure become what this database has for it."""
        answer: Any = None
        while True:
            try:
                call = steps.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            said = invocation(call)
            answer = yield call if said is None else self._call(call, said)


def _decoding(steps: Steps[list[Row]], call: Call[T]) -> Steps[T]:
    return call.decode((yield from steps))


def detect(rows: Iterable[Sequence[Any]]) -> Core:
    """Return what the rows of `DETECTION_QUERY` say.

    Raises NotInstalled where there is no schema `pgflow` that the reference's migrations have made, and TooOld for
    one, or a pgmq, before those this package can work with.
    """
    found: Mapping[str, set[str]] = {"function": set(), "refused": set(), "column": set()}
    for kind, name in rows:
        found[kind].add(name)
    columns = found["column"]
    if "step_tasks.run_id" not in columns or "runs.run_id" not in columns or _OURS in columns:
        raise NotInstalled
    for version, (kind, name) in _NEEDED.items():
        if name not in found[kind] | found["refused"]:
            raise TooOld(
                f"the schema pgflow of this database was made by the reference's migrations before {version}; "
                "apply its migrations up to 0.8.0 or later first"
            )
    if "pgmq.headers" not in columns:
        raise TooOld("pgflow needs pgmq 1.5.0 or newer, as the reference's migrations from 0.8.0 on do; apply those")
    version = next(version for version, column in _VERSIONS.items() if column in columns)
    return Core(version, frozenset(found["function"]), frozenset(found["refused"]), frozenset(columns))
