"""A schema made by the reference's own migrations, and stand-ins for what Supabase has beside it."""

from __future__ import annotations

import re

import psycopg
from pgmq.install import get_embedded_install_sql

from interop.packages import MIGRATIONS

_REALTIME = """
create schema realtime;
create table realtime.sent (number int generated always as identity, payload jsonb, event text, topic text);
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language sql as $$ insert into realtime.sent (payload, event, topic) values ($1, $2, $3) $$;
"""
_CREATES_EXTENSION = re.compile(r"^create extension[^;]*;", re.IGNORECASE | re.MULTILINE)


def install_reference(url: str, *, up_to: str = "9") -> None:
    """Apply the reference's migrations whose names are at most `up_to`; `realtime.sent` keeps its events."""
    with psycopg.connect(url, autocommit=True) as connection:
        offered = connection.execute("select from pg_available_extensions where name = 'pgmq'").fetchone()
        if not offered:
            connection.execute(get_embedded_install_sql().encode())
        connection.execute(_REALTIME)
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name <= up_to:
                text = path.read_text(encoding="utf-8")
                connection.execute((text if offered else _CREATES_EXTENSION.sub("", text)).encode())
