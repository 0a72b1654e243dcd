"""A worker in the lifespan of a web application, served by a real uvicorn."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from integrations import web
from pgflow import PgFlow
from pgflow.integrations.asgi import lifespan
from worker.running import DEADLINE_SECONDS, query


class Site:
    """The program in a process of its own."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-W", "error", web.__file__ or "", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if line.startswith("port "):
                self.address = f"http://127.0.0.1:{int(line.split()[1])}"
                return
        pytest.fail(self.output)

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.address}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            return json.load(answer)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        self.output += output
        return self.process.returncode


@pytest.fixture
def site(newest_database_url: str) -> Iterator[Site]:
    site = Site(newest_database_url)
    yield site
    site.process.kill()
    site.process.communicate()


@pytest.mark.feature("A1.2")
def test_a_request_starts_a_run_that_the_worker_inside_works(site: Site) -> None:
    run_id = site.ask("start/world", "POST")["run_id"]
    assert site.ask(f"result/{run_id}") == {"greet": "hello world"}
    assert site.ask("health") == {"status": "ok", "problems": []}


def test_the_signal_for_the_web_server_lets_the_task_finish(site: Site, newest_database_url: str) -> None:
    site.ask("health")
    for number in range(5):
        site.ask(f"start/{number}", "POST")
    assert site.end() == -signal.SIGTERM, "uvicorn raises the signal again once it has shut down"
    assert "Finished server process" in site.output
    assert "Traceback" not in site.output
    left = query(newest_database_url, "select status from pgflow.step_tasks where status = 'started'")
    assert left == []
    stopped = query(newest_database_url, "select stopped_at is not null as stopped from pgflow.workers")
    assert stopped == [{"stopped": True}]


async def test_an_application_without_flows_is_opened_and_closed(newest_database_url: str) -> None:
    app = PgFlow(newest_database_url)
    async with lifespan(app)(None) as state:
        assert state == {"pgflow": app}
        assert (await app.health_check()).status == "ok"
    assert query(newest_database_url, "select worker_id from pgflow.workers") == []
