"""Mistakes that somebody might make in the engine: each is planted in a process, and the auditor must find it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from routilux.decision import TryAgain
from routilux.durable import log as of_log
from routilux.durable import shortening as of_shortening
from routilux.durable.engine import DurableEngine
from routilux.durable.log import JobLog
from routilux.durable.sequential import DurableSequentialDriver
from routilux.facts import Cancelled, Paused, Settled
from routilux.machine.fanouts import FanOuts
from routilux.machine.snapshot import take
from routilux.stores.changes import Addition
from routilux.stores.sqlite.ledger import Ledger
from routilux.stores.sqlite.store import SQLiteStore


def acknowledge_before_the_commit() -> None:
    """The engine is told that a fact is durable, and it is written later."""
    append = SQLiteStore.append

    def hasty(self, job_id, entries, then, statements=()):
        append(self, job_id, entries, lambda error: None, statements)
        then(None)

    def late(self, changes):
        threading.Event().wait(0.03)
        return commit(self, changes)

    commit = Ledger.commit
    Ledger.commit = late
    SQLiteStore.append = hasty


def never_flush() -> None:
    """What was deferred is written only once there is much of it."""
    write = DurableSequentialDriver._write
    DurableSequentialDriver._write = lambda self: write(self) if self._log.waiting >= 40 or self._machine.done else None


def forget_that_an_attempt_begins() -> None:
    """Nothing is noted before an attempt."""
    JobLog.must_note = lambda self, activation: False


def skip_one_too_many() -> None:
    """A generator that goes on passes over one more than it gave."""
    yields_of = FanOuts.yields_of

    def more(self, number):
        count = yields_of(self, number)
        return count + 1 if count else 0

    FanOuts.yields_of = more


def keep_no_retries() -> None:
    """That an attempt failed and is tried again is not written."""
    _leave_out(lambda fact: isinstance(fact, Settled) and isinstance(fact.decision, TryAgain))


def keep_no_cancel() -> None:
    """A cancel happens, and is not written."""
    _leave_out(lambda fact: isinstance(fact, Cancelled))


def keep_no_pause() -> None:
    """A pause happens, and is not written."""
    _leave_out(lambda fact: isinstance(fact, Paused))


def _leave_out(unwanted: Callable[[object], bool]) -> None:
    append, defer = JobLog.append, JobLog.defer

    def appending(self, fact, then):
        complete = self._completed(fact)[0]
        if unwanted(complete):
            then([complete], None)
        else:
            append(self, fact, then)

    def deferring(self, fact):
        complete = self._completed(fact)[0]
        return complete if unwanted(complete) else defer(self, fact)

    JobLog.append, JobLog.defer = appending, deferring


def keep_no_state() -> None:
    """What a routine keeps as its state is not written."""
    entry_of = of_log.entry_of
    of_log.entry_of = lambda fact, origin, records, state=None, routine_id="": entry_of(
        fact, origin, records, None, routine_id
    )


def keep_outcomes_twice() -> None:
    """An outcome is written again, as a retried commit might do."""
    append = SQLiteStore.append

    def twice(self, job_id, entries, then, statements=()):
        append(self, job_id, [*entries, *(one for one in entries if one.kind == "settled")], then, statements)

    SQLiteStore.append = twice


def try_again_at_once() -> None:
    """Nobody waits before another attempt."""
    decision_on = of_log.decision_on

    def at_once(machine, fact):
        decision = decision_on(machine, fact)
        return TryAgain(0) if isinstance(decision, TryAgain) else decision

    of_log.decision_on = at_once


def apply_before_it_is_durable() -> None:
    """A fact happens to the machine at once, and the store is told of it in the background."""
    heed = DurableEngine._heed

    def eager(self, seat, fact):
        if isinstance(fact, Settled):
            complete, entry, statements = seat.log._completed(fact)
            given = seat.course.origin.job_id, [entry], lambda error: None, statements
            threading.Timer(0.03, seat.log._store.append, given).start()
            super(DurableEngine, self)._heed(seat, complete)
        else:
            heed(self, seat, fact)

    DurableEngine._heed = eager


def leave_a_thread() -> None:
    """A thread of the engine outlives its job."""
    threading.Thread(target=threading.Event().wait, name="routilux-left", daemon=True).start()


def write_apart() -> None:
    """What handlers wrote is committed before their outcomes are."""
    applied = Ledger._applied

    def apart(self, change, opened):
        if isinstance(change, Addition) and change.statements:
            self._statements.execute(self._connection, change)
            opened.insert(self._connection)
            self._connection.execute("COMMIT")
            threading.Event().wait(0.003)
            self._connection.execute("BEGIN IMMEDIATE")
            change = change._replace(statements=())
        return applied(self, change, opened)

    Ledger._applied = apart


def write_whatever_became_of_it() -> None:
    """What an attempt wrote is kept also where its outcome does not count."""
    of_log.completes = lambda machine, fact: True


def shorten_too_early() -> None:
    """A snapshot is taken while facts that are not in it are on their way to the store, before it."""
    in_turn = JobLog._shorten_in_turn

    def hasty(self):
        under_way, self._under_way = self._under_way, 0
        in_turn(self)
        self._under_way += under_way

    JobLog._shorten_in_turn = hasty


def shorten_without_generators() -> None:
    """A snapshot does not say what generators have given."""
    of_shortening.take = lambda machine: take(machine)._replace(given=())


MISTAKES = {
    "acknowledge before the commit": (acknowledge_before_the_commit, "concurrent", "cancel"),
    "apply before it is durable": (apply_before_it_is_durable, "concurrent", ""),
    "never flush": (never_flush, "sequential", ""),
    "forget that an attempt begins": (forget_that_an_attempt_begins, "concurrent", ""),
    "skip one too many": (skip_one_too_many, "sequential", ""),
    "keep no retries": (keep_no_retries, "concurrent", ""),
    "keep no cancel": (keep_no_cancel, "asyncio", "cancel"),
    "keep no pause": (keep_no_pause, "concurrent", "pause"),
    "keep no state": (keep_no_state, "sequential", ""),
    "keep outcomes twice": (keep_outcomes_twice, "concurrent", ""),
    "try again at once": (try_again_at_once, "concurrent", ""),
    "write apart": (write_apart, "concurrent", ""),
    "write whatever became of it": (write_whatever_became_of_it, "concurrent", "cancel"),
    "shorten too early": (shorten_too_early, "concurrent", ""),
    "shorten without generators": (shorten_without_generators, "sequential", ""),
    "leave a thread": (leave_a_thread, "concurrent", ""),
}
"""By name: what plants it, and the mode and the steering in which it shows."""

OF_WRITING = {name for name in MISTAKES if name.startswith("write ")}
"""Those that show in what handlers write; it is written down at once, which would hide some of the others."""

OF_SHORTENING = {name for name in MISTAKES if name.startswith("shorten ")}
"""Those that show in jobs that are shortened; whose facts are gone cannot be audited in all that the others need."""
