"""Commands on a database whose core knows statuses that this package doesn't."""

from __future__ import annotations

import psycopg
import pytest

UNKNOWN = """
alter table pgflow.runs drop constraint status_is_valid;
alter table pgflow.step_states drop constraint status_is_valid;
alter table pgflow.step_tasks drop constraint valid_status;
update pgflow.runs set status = 'paused';
update pgflow.step_states set status = 'waiting';
update pgflow.step_tasks set status = 'held';
"""


@pytest.mark.parametrize(("options", "step"), [([], "? greet"), (["--json"], '"status":"waiting"')])
def test_statuses_that_are_unknown_are_shown(pgflow, newest_database_url, greeting_module, options, step):
    at = ["--url", newest_database_url]
    assert pgflow("compile", f"{greeting_module}:app", *at).code == 0
    run_id = pgflow("start", "greeting", "--input", '"you"', *at).output.split()[-1]
    with psycopg.connect(newest_database_url) as connection:
        connection.execute(UNKNOWN)
    ended = pgflow("run", run_id, *options, *at)
    assert (ended.code, ended.errors) == (0, "")
    assert "paused" in ended.output
    assert step in ended.output
