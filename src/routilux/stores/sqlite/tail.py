"""A note beside a store on what was last written, because SQLite reads a log that was cut short as an older state."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from routilux.errors import StoreDamagedError
from routilux.stores.sqlite.file import beside


class Mark(NamedTuple):
    """What a store has at least."""

    epoch: int
    purges: int
    """How many jobs had been removed; a job that is gone since is no damage."""
    job_id: str | None
    seq: int
    chain: str


class Tail:
    """The note of one store; a note that cannot be read says nothing."""

    def __init__(self, path: Path) -> None:
        self._path = beside(path, ".head")

    def write(self, mark: Mark) -> None:
        """Replaces the note; nobody waits until it is on the disk."""
        text = json.dumps(mark)
        line = f"{zlib.crc32(text.encode()):08x} {text}\n".encode().ljust(1024)
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)

    def read(self) -> Mark | None:
        """What it says."""
        with suppress(OSError, ValueError, TypeError):
            crc, _, text = self._path.read_text(encoding="utf-8").strip().partition(" ")
            if int(crc, 16) == zlib.crc32(text.encode()):
                return Mark(*json.loads(text))
        return None

    def verify(self, connection: sqlite3.Connection, path: Path) -> None:
        """Raises `StoreDamagedError` if the store lacks what it had when the note was written."""
        mark = self.read()
        if mark is None:
            return
        epoch, purges = connection.execute("SELECT epoch, purges FROM owner").fetchone()
        # Where the entry itself has gone because another stands for it, that one comes after it.
        found = connection.execute(
            "SELECT seq, facts.chain FROM facts JOIN jobs ON job = number WHERE job_id = ? AND seq >= ? "
            "ORDER BY seq LIMIT 1",
            (mark.job_id, mark.seq),
        ).fetchone()
        lost = epoch < mark.epoch or purges < mark.purges
        if found is None:
            lost = lost or (mark.job_id is not None and purges == mark.purges)
        else:
            lost = lost or (found[0] == mark.seq and found[1] != bytes.fromhex(mark.chain))
        if lost:
            raise StoreDamagedError(
                f"The store {path} has lost what was written last: entry {mark.seq} of job {mark.job_id} is not there. "
                f"Its log was cut, or the file is an older copy; if you put that there, remove {self._path.name}.",
                mark.job_id,
                mark.seq,
            )
