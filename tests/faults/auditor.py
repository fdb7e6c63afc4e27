"""The auditor: what a store says of a job, held against what its handlers did and what was acknowledged.

It reads the store as anybody may, the lines that handlers wrote, and the log of acknowledgements. It knows the
invariants of the suite, not the engine:

A1 what was acknowledged is in the store          A6 nothing starts after a cancel or within a pause
A2 an attempt ends once, an activation is accepted once   A7 no attempt starts before it is due
A3 the same work keeps its activation; the result is right   A8 the store is whole
A4 done means it was done; at most once means it  A10 it ends when it is left in peace (see `runner`)
A5 attempts and crashes stay in their budgets     A11 no thread and no process is left
A12 what handlers wrote in transactions is there once for each attempt that was accepted, and for no other
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from routilux.decision import TryAgain
from routilux.durable.payload import Payloads
from routilux.durable.records import Records
from routilux.durable.snapshot_records import SNAPSHOT
from routilux.durable.stored_error import known_exceptions
from routilux.errors import WorkerLostError
from routilux.facts import Cancelled, Opened, Paused, Settled, StoredFact
from routilux.payloads import Codec
from routilux.stores.opening import check, open_store
from routilux.stores.port import StoredJob
from tests.faults.flow import CRASH_RETRIES, DELAY, RETRIES
from tests.faults.program import Case

OVER = {"completed", "failed", "cancelled"}

IN_FLIGHT = {"sequential": 1, "concurrent": 6, "asyncio": 6, "multiprocessing": 40, "distributed": 40}
"""How much work may have run without anybody knowing, for each kill.

In sequence what took a millisecond is written at once, so that it is what ran. On threads and on a loop it is what had
fired, two for each worker; between processes outcomes travel in batches.
"""

SETTLE = 1_000_000_000
"""Nanoseconds in which what had been started before a cancel or a pause may still come to write its line."""


class Effect(NamedTuple):
    """A line of a handler."""

    routine_id: str
    number: int
    activation_id: int
    attempt: int
    at: int
    pid: int


def lines_of(path: Path) -> list[Any]:
    """What was written to a log; a file that is not there has nothing."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def facts_of(path: str | Path, key: str | None = None) -> tuple[StoredJob, list[StoredFact]]:
    """The facts that are kept of the one job in a store, or of that with a key."""
    with open_store(path, read_only=True) as store:
        (job,) = (one for one in store.jobs() if key is None or one.key == key)
        records = Records(Payloads(Codec(), lambda data: "", store.load), known_exceptions())
        entries = [one.entry for one in store.entries(job.job_id)]
        return job, [records.read(kind, body).fact for kind, _, body in entries if kind != SNAPSHOT]


class Audit:
    """One job after the faults have stopped."""

    def __init__(self, case: Case, kills: int = 0) -> None:
        self._case = case
        self._kills = kills
        self._acknowledged = lines_of(case.acknowledged)
        self._effects = [Effect(*line) for line in lines_of(case.effects)]
        self._works = [effect for effect in self._effects if effect.routine_id == "work"]
        self._job, self._facts = facts_of(case.store, "once")
        self._shortened = len(self._facts) < self._job.entries
        """Whether facts are gone, because a snapshot stands for them: what is left is audited."""
        self._settled = [one for one in self._facts if isinstance(one, Settled) and not one.more]

    def findings(self) -> list[str]:
        """Every invariant that does not hold."""
        checks = (self._a1, self._a2, self._a3, self._a4, self._a5, self._a6, self._a7, self._a8, self._a11, self._a12)
        return [f"{check.__name__[1:].upper()}: {finding}" for check in checks for finding in check()]

    def _told(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self._acknowledged if line["what"] == what]

    def _a1(self) -> Iterator[str]:
        for line in self._told("over"):
            if line["status"] != self._job.status:
                yield f"it was {line['status']}, and is {self._job.status}"
        if any(line["status"] == "cancelled" for line in self._told("cancelled")):
            cancels = [one for one in self._facts if isinstance(one, Cancelled)]
            if self._job.status != "cancelled" or not cancels:
                yield "a cancel was acknowledged and is not there"
        pauses = [line for line in self._told("paused") if line["status"] not in OVER]
        if not self._shortened and len(pauses) > sum(isinstance(one, Paused) for one in self._facts):
            yield "a pause was acknowledged and is not there"

    def _a2(self) -> Iterator[str]:
        ends = Counter((one.activation_id, one.attempt) for one in self._settled)
        for one, count in ends.items():
            if count > 1:
                yield f"activation and attempt {one} ended {count} times"
        last = [one for one in self._settled if not isinstance(one.decision, TryAgain) and not _is_lost(one)]
        accepted = Counter(one.activation_id for one in last)
        for number, count in accepted.items():
            if count > 1:
                yield f"activation {number} was accepted {count} times"

    def _a3(self) -> Iterator[str]:
        ids = defaultdict(set)
        for effect in self._works:
            ids[effect.number].add(effect.activation_id)
        for number, found in ids.items():
            if len(found) > 1:
                yield f"work {number} came under the ids {sorted(found)}"
        if self._job.status == "completed":
            if set(ids) != set(range(self._case.count)):
                yield "something was never done"
            for line in self._told("over"):
                if line["result"] != [self._case.expected]:
                    yield f"the result is {line['result']}, not {self._case.expected}"

    def _a4(self) -> Iterator[str]:
        runs = Counter(one.activation_id for one in self._effects if one.routine_id == "once")
        yield from (f"activation {one} ran {count} times, not once" for one, count in runs.items() if count > 1)
        # What the end of its job stopped need not have begun.
        ended = {(one.activation_id, one.attempt) for one in self._settled if not one.stopped}
        again = sum(count - 1 for count in Counter((one.activation_id, one.attempt) for one in self._works).values())
        if again > self._kills * IN_FLIGHT[self._case.mode]:
            yield f"{again} ran again after {self._kills} kills"
        begun = {(one.activation_id, one.attempt) for one in self._works}
        mine = {one.activation_id for one in self._works}
        missing = [one for one in ended - begun if one[0] in mine and not self._lost(one)]
        yield from (f"activation and attempt {one} ended and never began" for one in missing)

    def _lost(self, which: tuple[int, int]) -> bool:
        """Whether a crash was the end of an attempt: then it may not have come to its first line."""
        return any((one.activation_id, one.attempt) == which and _is_lost(one) for one in self._settled)

    def _a5(self) -> Iterator[str]:
        for number, crashes in Counter(one.activation_id for one in self._settled if _is_lost(one)).items():
            if crashes > CRASH_RETRIES + 1:
                yield f"activation {number} was lost {crashes} times"
        for effect in self._works:
            if effect.attempt > 1 + RETRIES + CRASH_RETRIES:
                yield f"attempt {effect.attempt} of activation {effect.activation_id}"
            if self._kills == 0 and effect.attempt > (2 if effect.number % 7 == 3 else 1):
                yield f"attempt {effect.attempt} of work {effect.number}, which nobody killed"

    def _a6(self) -> Iterator[str]:
        starts = {line["pid"]: line["at"] for line in reversed(self._told("submitted"))}
        for line in self._told("cancelled"):
            if line["status"] != "cancelled":
                continue
            late = [one for one in self._effects if one.at > line["at"]]
            beyond = [one for one in late if one.at > line["at"] + SETTLE]
            after = min((at for pid, at in starts.items() if at > line["at"] and pid != line["pid"]), default=None)
            later = [one for one in late if after is not None and one.at > after]
            if len(late) > IN_FLIGHT[self._case.mode] or beyond or later:
                yield f"{len(late)} began after a cancel, {len(later)} of them after a crash"
        yield from self._in_pauses()

    def _in_pauses(self) -> Iterator[str]:
        since = None
        for line in self._acknowledged:
            if line["what"] == "paused" and line["status"] == "paused":
                since = line["at"]
            elif since is not None:
                within = [one for one in self._effects if since < one.at < line["at"]]
                if len(within) > IN_FLIGHT[self._case.mode]:
                    yield f"{len(within)} began in a pause"
                since = None

    def _a7(self) -> Iterator[str]:
        began: dict[tuple[int, int], int] = {}
        for one in self._works:
            began.setdefault((one.activation_id, one.attempt), one.at)
        failed = {(one.activation_id, one.attempt) for one in self._settled if isinstance(one.decision, TryAgain)}
        for (number, attempt), at in began.items():
            before = began.get((number, attempt - 1))
            lost = self._lost((number, attempt - 1))
            if before is not None and (number, attempt - 1) in failed and not lost and at - before < DELAY * 1e9:
                yield f"attempt {attempt} of activation {number} began {(at - before) / 1e6:.2f} ms after the last"

    def _a8(self) -> Iterator[str]:
        found = check(self._case.store)
        yield from (damage.message for damage in found.damages)
        yield from (f"{name} is missing" for name in found.missing_blobs)
        opened = [one for one in self._facts if isinstance(one, Opened)]
        if self._facts[0] is not opened[0]:
            yield "its first entry is not how it was submitted"

    def _a11(self) -> Iterator[str]:
        for line in self._told("left"):
            if line["threads"] or line["children"]:
                yield f"threads {line['threads']} and {line['children']} processes are left"

    def _a12(self) -> Iterator[str]:
        wrote = Counter((one.activation_id, one.attempt) for one in self._settled if one.wrote)
        rows = rows_of(self._case.file)
        there = Counter(row[1:] for row in rows)
        excess = {one: count for one, count in there.items() if count > 1} if self._shortened else there - wrote
        yield from (f"activation and attempt {one} wrote {count} rows, not one" for one, count in excess.items())
        yield from (f"what activation and attempt {one} wrote is not there" for one in wrote - there)
        failed = {(one.activation_id, one.attempt) for one in self._settled if one.error is not None}
        yield from (f"activation and attempt {one} failed, and wrote" for one in failed & there.keys())
        cancelled = next((at for at, one in enumerate(self._facts) if isinstance(one, Cancelled)), len(self._facts))
        late = [one for one in self._facts[cancelled:] if isinstance(one, Settled) and one.wrote]
        yield from (f"activation {one.activation_id} wrote after the job was cancelled" for one in late)
        if self._case.writes and self._job.status == "completed":
            numbers = sorted(number for number, _, _ in rows)
            if numbers != list(range(0, self._case.count, 3)):
                yield f"{len(numbers)} numbers are written down: {numbers}"


def rows_of(path: Path) -> list[tuple[int, int, int]]:
    """What handlers wrote in transactions: a number, an activation and an attempt each; nothing without a file."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'done'").fetchone() is None:
            return []
        return connection.execute("SELECT * FROM done").fetchall()


def _is_lost(outcome: Settled) -> bool:
    return isinstance(outcome.error, WorkerLostError)


def audited(case: Case, kills: int = 0) -> StoredJob:
    """Finds nothing, and gives the job."""
    found = Audit(case, kills).findings()
    assert not found, "\n".join(found)
    return facts_of(case.store, "once")[0]
