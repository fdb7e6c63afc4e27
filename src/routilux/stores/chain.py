"""What makes damage visible: every entry of a job carries a hash over itself and all before it.

The first link is made of the job itself, so that neither its request nor an entry can change, vanish or move to another
job unnoticed. The last link, kept apart, shows that none is missing at the end. An entry that stands for those before
it is linked to the first, which stays: only who may write can make it follow that one.

With a key, a link is an HMAC: who has not the key can make none. Without one, whoever may write to the store can also
write links that fit, so that only accidents are found.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib

from routilux.errors import JournalKeyError
from routilux.stores.port import Entry

_NUMBERS = struct.Struct("<qqqi").pack
_REQUEST = "request"
_SHORTEST_KEY = 16
_NAMED = b"the journal key of a store of Routilux"


class Chain:
    """Makes the links of the jobs of one store; it knows the key, and never shows it."""

    __slots__ = ("_key", "mark")

    def __init__(self, key: bytes | None = None) -> None:
        if key is not None and len(key) < _SHORTEST_KEY:
            raise JournalKeyError(f"journal_key has {len(key)} bytes. Give one of {_SHORTEST_KEY} or more, at random.")
        self._key = key
        self.mark = "" if key is None else hmac.digest(key, _NAMED, "sha256").hex()
        """What a store keeps to know the key again; it says nothing of it."""

    def check(self, mark: str, place: object) -> None:
        """Raises `JournalKeyError` if a store has the mark of another key."""
        if hmac.compare_digest(mark.encode(), self.mark.encode()):
            return
        if not mark:
            why = "was made without a journal_key, and one is given. Leave it out; a store does not change its key"
        elif self._key is None:
            why = "was made with a journal_key, and none is given. Give the one that it was made with"
        else:
            why = "was made with another journal_key. Give that one"
        raise JournalKeyError(f"The store {place} {why}.")

    def first(self, job_id: str, flow_id: str, key: str | None, created_at: int, request: bytes) -> bytes:
        """The link of a job without entries."""
        named = []
        for part in (job_id, flow_id, key):
            encoded = b"-" if part is None else b"+" + part.encode()
            named.append(len(encoded).to_bytes(8, "little") + encoded)
        return self.next(self._hash(b"".join(named)), 0, 0, Entry(_REQUEST, created_at, request))

    def next(self, previous: bytes, seq: int, epoch: int, entry: Entry) -> bytes:
        """The link of an entry, by the one before it."""
        kind, at, body = entry
        encoded = kind.encode()
        return self._hash(b"".join((previous, _NUMBERS(seq, epoch, at, len(encoded)), encoded, body)))

    def seal(self, row: tuple[object, ...]) -> int:
        """What finds a change in the row of a job: a flipped bit, and with a key any that was made without it."""
        data = repr(tuple(row)).encode()
        return zlib.crc32(data) if self._key is None else int.from_bytes(self._hash(data)[:8], "little") >> 1

    def _hash(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest() if self._key is None else hmac.digest(self._key, data, "sha256")
