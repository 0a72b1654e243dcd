"""Which functions there are, and which are granted to starters and workers."""

from __future__ import annotations

from sql.engine import Connection, Row, rows

ROLES = ["starter", "worker"]

FUNCTIONS = """
    select p.proname as name, p.oid::regprocedure::text as signature, p.prosecdef as is_security_definer
    from pg_proc p
    where p.pronamespace = 'pgflow'::regnamespace
"""


def functions(connection: Connection, kind: str) -> list[Row]:
    """The functions granted to a kind of role."""
    query = f"select f.* from ({FUNCTIONS}) as f join pgflow._functions_of_role(%s) as g on g::text = f.signature"
    return rows(connection, query, kind)
