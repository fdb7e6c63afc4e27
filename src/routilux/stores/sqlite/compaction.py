"""One entry of a job in place of all but its first, in the transaction that is open.

The row of the job says at once that it is there: who took it away could not make the rest look like a beginning.
"""

from __future__ import annotations

import sqlite3

from routilux.stores.chain import Chain
from routilux.stores.port import Entry
from routilux.stores.rows import FIRST
from routilux.stores.sqlite.batch import Batch, Head

CHANGE = "UPDATE jobs SET entries = ?, chain = ?, crc = ? WHERE number = ?"
"""Says in the row of a job which entries there must be."""

_LINK = "SELECT chain FROM facts WHERE job = ? AND seq = ?"
_DELETE = "DELETE FROM facts WHERE job = ? AND seq > ? AND seq < ?"
_ROW_BYTES = 256
"""What a row that is deleted adds to the log, about: its page is overwritten."""


def compact(connection: sqlite3.Connection, chain: Chain, epoch: int, head: Head, entry: Entry, opened: Batch) -> int:
    """Has an entry stand for all of the job whose last one `head` is; gives what that adds to the log, in bytes."""
    opened.insert(connection)
    number, seq, gone = head.job.number, head.seq + 1, 0
    found = connection.execute(_LINK, (number, FIRST)).fetchone()
    link = chain.next(head.chain if found is None else found[0], seq, epoch, entry)
    if found is not None:
        gone = connection.execute(_DELETE, (number, FIRST, seq)).rowcount
    opened.facts.append((number, seq, epoch, *entry, link))
    opened.touched.add(head.job.job_id)
    head.job, head.seq, head.chain = head.job._replace(entries=seq, chain=link), seq, link
    connection.execute(CHANGE, (seq, link, chain.seal(head.job), number))
    return gone * _ROW_BYTES
