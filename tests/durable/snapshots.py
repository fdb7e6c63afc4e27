"""Jobs that are shortened sooner than usual."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from routilux.durable import shortening
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.stores.port import Entry


@contextmanager
def snapshots_after(distance: int) -> Iterator[None]:
    """Jobs that begin within are shortened whenever they have had so many facts."""
    usual = shortening.DISTANCE
    shortening.DISTANCE = distance
    try:
        yield
    finally:
        shortening.DISTANCE = usual


def without_begun(entry: Entry) -> Entry:
    """A snapshot of which nobody knows what had begun; anything else as it is."""
    if entry.kind != SNAPSHOT:
        return entry
    return entry._replace(body=msgspec.json.encode(msgspec.json.decode(entry.body) | {"begun": {}}))
