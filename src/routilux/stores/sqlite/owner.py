"""Who may write to a store: one process, and in it one store.

Between processes a POSIX lock on a file beside the store decides: it ends with its process, and no child inherits it.
It says nothing within one process, and would even be lost there when a second file of that name is closed. So a store
takes the lock of another kind on a folder first, which is between open files; as children that the user's code forks
inherit that one, it only counts if the process that wrote itself down as the owner is this one.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

from routilux.errors import StoreError, StoreInUseError, StoreUnavailableError
from routilux.stores.owner import Owner
from routilux.stores.sqlite.file import beside, open_for_reading

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class OwnerLock:
    """The right to write to a store, from its making to `release`."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Raises `StoreInUseError` if somebody has it, and `StoreUnavailableError` where nothing can be written.

        `folder` belongs to the store as well, and exists.
        """
        self._path = path
        self._handles: list[int] = []
        try:
            self._take(folder)
        except StoreError:
            self.release()
            raise
        except OSError as error:
            self.release()
            raise StoreUnavailableError(
                f"The store {path} cannot be opened for writing: {error}. Reading it needs only read_only=True."
            ) from error

    if sys.platform == "win32":

        def release(self) -> None:
            """Lets others have it."""
            while self._handles:
                os.close(self._handles.pop())

        def _take(self, folder: Path) -> None:
            handle = os.open(beside(self._path, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            self._handles.append(handle)
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                raise self._in_use() from error

    else:

        def release(self) -> None:
            """Lets others have it."""
            while self._handles:
                handle = self._handles.pop()
                # Closing it would not do while a forked child has it too.
                fcntl.flock(handle, fcntl.LOCK_UN)
                os.close(handle)

        def _take(self, folder: Path) -> None:
            guard = os.open(folder, os.O_RDONLY)
            self._handles.append(guard)
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = owner_of(self._path)
                if owner is not None and owner.pid == os.getpid():
                    raise self._in_use() from error
            handle = os.open(beside(self._path, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            self._handles.append(handle)
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise self._in_use() from error

    def _in_use(self) -> StoreInUseError:
        owner = owner_of(self._path) or "an unknown process"
        return StoreInUseError(
            f"The store {self._path} is in use by {owner}. End that, or open the store with read_only=True."
        )


def owner_of(path: Path) -> Owner | None:
    """Who wrote itself down as the owner of a store, if that can be read."""
    with suppress(StoreError, sqlite3.Error), closing(open_for_reading(path)) as connection:
        return Owner(*connection.execute("SELECT pid, host, since FROM owner").fetchone())
    return None
