"""What makes damage visible: every entry of a job carries a hash over itself and all before it.

The first link is made of the job itself, so that neither its request nor an entry can change, vanish or move to another
job unnoticed. The last link, kept apart, shows that none is missing at the end.
"""

from __future__ import annotations

import hashlib
import struct

from routilux.stores.port import Entry

_NUMBERS = struct.Struct("<qqqi").pack
_REQUEST = "request"


def first_link(job_id: str, flow_id: str, key: str | None, created_at: int, request: bytes) -> bytes:
    """The link of a job without entries."""
    named = hashlib.sha256()
    for part in (job_id, flow_id, key):
        encoded = b"-" if part is None else b"+" + part.encode()
        named.update(len(encoded).to_bytes(8, "little") + encoded)
    return next_link(named.digest(), 0, 0, Entry(_REQUEST, created_at, request))


def next_link(previous: bytes, seq: int, epoch: int, entry: Entry) -> bytes:
    """The link of an entry, by the one before it."""
    kind, at, body = entry
    encoded = kind.encode()
    data = b"".join((previous, _NUMBERS(seq, epoch, at, len(encoded)), encoded, body))
    return hashlib.sha256(data).digest()
