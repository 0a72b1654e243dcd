"""How pgmq comes into a database: present, as an extension, or from the package."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pgmq.install import get_embedded_install_sql

from conftest import as_superuser
from pgflow.errors import NotInstalled, TooOld
from pgflow.schema import migrate


@pytest.fixture
def offer_extension(server, empty_database_url):
    """Offer pgmq as an extension in the private database, for superusers only or for all."""
    if server.version < 18:
        pytest.skip("PostgreSQL finds extensions outside of its own folders from 18 on")

    def offer(*, superuser: bool, script: str = get_embedded_install_sql()) -> None:
        folder = Path(f"{server.directory}/extension_{superuser}_{len(script)}/extension")
        folder.mkdir(parents=True, exist_ok=True)
        control = f"default_version = '1.0'\nschema = pgmq\nrelocatable = false\nsuperuser = {str(superuser).lower()}\n"
        (folder / "pgmq.control").write_text(control)
        (folder / "pgmq--1.0.sql").write_text(script)
        with as_superuser(empty_database_url, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"alter database {name} set extension_control_path = '{folder.parent}:$system'")

    return offer


@pytest.mark.feature("A4.2")
def test_the_package_installs_it_where_the_server_offers_none(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as connection:
        assert migrate(connection, migrations).pgmq == "sql"
        connection.execute("select pgmq.create('greetings')")
        assert connection.execute("select pgmq.send('greetings', '{}')").fetchone() == (1,)


def test_one_that_is_there_is_used(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(get_embedded_install_sql().encode())
        connection.commit()
        assert migrate(connection, migrations).pgmq == "present"


@pytest.mark.feature("A4.2", "A5.1")
def test_one_before_headers_is_refused(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("create schema pgmq; create type pgmq.message_record as (msg_id bigint, message jsonb)")
        connection.commit()
        with pytest.raises(TooOld, match=r"1\.5\.0 or newer"):
            migrate(connection, migrations)


@pytest.mark.feature("A4.2")
def test_an_extension_that_the_server_offers_is_created(empty_database_url, migrations, offer_extension):
    offer_extension(superuser=False)
    with psycopg.connect(empty_database_url) as connection:
        assert migrate(connection, migrations).pgmq == "extension"
        assert connection.execute("select 1 from pg_extension where extname = 'pgmq'").fetchone() == (1,)


def test_a_refused_extension_tells_what_to_ask_the_administrator_for(empty_database_url, migrations, offer_extension):
    offer_extension(superuser=True)
    with psycopg.connect(empty_database_url) as connection, pytest.raises(NotInstalled) as refused:
        migrate(connection, migrations)
    assert 'CREATE EXTENSION pgmq; GRANT USAGE, CREATE ON SCHEMA pgmq TO "app"' in str(refused.value)
    assert "run `pgflow migrate` again" in str(refused.value)


def test_after_the_administrator_did_what_he_was_asked_for_migrating_works(
    empty_database_url, migrations, offer_extension
):
    offer_extension(superuser=True)
    with as_superuser(empty_database_url) as superuser:
        superuser.execute("create extension pgmq")
        superuser.execute("grant usage, create on schema pgmq to app; grant all on all tables in schema pgmq to app")
    with psycopg.connect(empty_database_url) as connection:
        assert migrate(connection, migrations).pgmq == "present"
        connection.execute("select pgmq.create('greetings')")
        assert connection.execute("select pgmq.send('greetings', '{}')").fetchone() == (1,)


@pytest.mark.feature("A5.1")
def test_an_old_extension_is_refused_and_not_left_behind(empty_database_url, migrations, offer_extension):
    offer_extension(superuser=False, script="create type pgmq.message_record as (msg_id bigint);")
    with psycopg.connect(empty_database_url) as connection:
        with pytest.raises(TooOld):
            migrate(connection, migrations)
        assert connection.execute("select 1 from pg_extension where extname = 'pgmq'").fetchone() is None
