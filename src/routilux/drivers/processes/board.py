"""A board: memory that one worker and its driver share, where outcomes stand as soon as they are there.

It outlives the worker. So whatever ends a worker, the driver can read which outcomes there are, which handler had
begun, and that the others had not. Both sides may write at once, each its own words:

::

    words   0 limit      driver: orders of the batch from this position on are not to begin
            1 cancelled  driver: position + 1 of the order that nobody wants any more, or 0
            2 begun      worker: how many orders of the batch have begun
            3 written    worker: how far the outcomes reach
    then the outcomes, one after another: length, kind, pickle

Each side writes its word, passes a fence, and then reads the other's: so either the worker sees the limit, or the
driver sees that the handler has begun, or both, never neither.
"""

from __future__ import annotations

import errno
import mmap
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

SIZE = 1024 * 1024
_LIMIT, _CANCELLED, _BEGUN, _WRITTEN = range(4)
_WORDS = 64
_HEAD = struct.Struct("=IB")
_REFERENCE = 1024
"""What is kept free for each outcome to come, so that it can at least say where it lies."""


class Board:
    """The same memory seen from either side."""

    def __init__(self, path: Path) -> None:
        """`path` is a file that `make_board` has made."""
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)
        self._words = memoryview(self._memory)[:_WORDS].cast("Q")
        self._fence = threading.Lock()
        self._at = _WORDS

    def close(self) -> None:
        """Lets go of the memory."""
        self._words.release()
        self._memory.close()

    # --- the driver's side

    def prepare(self, count: int) -> None:
        """Before a batch of `count` orders is sent."""
        words = self._words
        words[_CANCELLED] = words[_BEGUN] = 0
        words[_WRITTEN] = self._at = _WORDS
        words[_LIMIT] = count

    def cut(self, position: int) -> bool:
        """Has no order from `position` on begin; gives whether none has."""
        self._words[_LIMIT] = position
        with self._fence:
            pass
        return self._words[_BEGUN] <= position

    def cancel(self, position: int) -> None:
        """Tells the handler of an order, if it looks, that nobody wants its outcome."""
        self._words[_CANCELLED] = position + 1

    @property
    def begun(self) -> int:
        """How many orders of the batch have begun."""
        return self._words[_BEGUN]

    def read(self) -> list[tuple[int, bytes]]:
        """The outcomes that have come since the last time, as kind and pickle."""
        found = []
        end = self._words[_WRITTEN]
        with self._fence:
            pass
        while self._at < end:
            length, kind = _HEAD.unpack_from(self._memory, self._at)
            self._at += _HEAD.size
            found.append((kind, self._memory[self._at : self._at + length]))
            self._at += length
        return found

    # --- the worker's side

    def rewind(self) -> None:
        """Before the first order of a batch."""
        self._at = _WORDS

    def begin(self, position: int) -> bool:
        """Says that an order begins; gives whether it may."""
        words = self._words
        words[_BEGUN] = position + 1
        with self._fence:
            pass
        if position < words[_LIMIT]:
            return True
        words[_BEGUN] = position
        return False

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the outcome of the order that runs."""
        return self._words[_CANCELLED] == self._words[_BEGUN]

    def has_room(self, length: int, to_come: int) -> bool:
        """Whether an outcome fits, while `to_come` more may follow."""
        return self._at + _HEAD.size + length + to_come * _REFERENCE <= SIZE

    def write(self, kind: int, packed: bytes) -> None:
        """Adds an outcome; from then on it is not lost."""
        start = self._at + _HEAD.size
        _HEAD.pack_into(self._memory, self._at, len(packed), kind)
        self._memory[start : start + len(packed)] = packed
        self._at = start + len(packed)
        with self._fence:
            pass
        self._words[_WRITTEN] = self._at


def make_board(folders: Sequence[Path], name: str) -> Path:
    """A new file for a board, in the first folder that has room; all of it is claimed, so that no write fails later."""
    *others, last = (folder / f"{name}.board" for folder in folders)
    for path in others:
        try:
            path.write_bytes(bytes(SIZE))
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        else:
            return path
    last.write_bytes(bytes(SIZE))
    return last
