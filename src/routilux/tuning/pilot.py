"""The pilot: chooses how many threads run a flow's jobs, or, if it may, processes. Model, jump, confirm, rest.

A fold over measurements: numbers go in, decisions come out; it has no clock and no thread, and starts nothing.

    solo load -> model -> jump -> measured -> kept? -> trial of half as many again -> kept? -> rest
                   |                  |                      |
                   +-- no gain: rest  +-- undone: one        +-- undone: as before

Nothing is changed for a gain of less than `WORTH_IT`, and what does not prove itself is undone, once.
"""

from __future__ import annotations

import enum
import math

from routilux.execution_mode import ExecutionMode
from routilux.insight.term import Term
from routilux.tuning.decision import Decision, Fate
from routilux.tuning.load import ENOUGH_LOOKS, Forecast, Load, best, elsewhere, forecast
from routilux.tuning.port import MOST_THREADS
from routilux.tuning.sending import Sending

THREADS, PROCESSES = ExecutionMode.CONCURRENT, ExecutionMode.MULTIPROCESSING

WORTH_IT = 1.2
"""By so much must the model promise a gain before anything is changed."""

PROVEN = 1.05
"""By so much must a trial be faster to be kept."""

ENOUGH = 0.05
"""Seconds of running one after another that the model needs."""

FEWEST = 8
"""Activations that it needs, at the least."""

WINDOW = 0.25
"""Seconds for which a rate is measured, at the least."""

LONGEST_WINDOW = 2.0
"""The longest that one need be; that of processes always is, because it takes a part of it to start them."""

LONG_ONES = 4
"""So many times as long as an activation is a window, however long they are."""

PER_WORKER = 20
"""Activations that each further worker should have ended in a window."""

LONGEST_REST = 30.0

MOST_TRIALS = 2

CHANGED = 0.3
"""A rate that has changed by so much means that the model's numbers no longer hold."""


class Stage(enum.Enum):
    """What the pilot is at."""

    SOLO = enum.auto()
    """It learns what activations need while they run one after another."""
    JUMPED = enum.auto()
    SETTLED = enum.auto()
    """It takes the rate that the next trial is compared with."""
    TRIAL = enum.auto()
    REST = enum.auto()


class Pilot:
    """Of one flow. One thread at a time uses it."""

    def __init__(self, cores: float, cap: int = MOST_THREADS, processes: int = 0) -> None:
        """`cap` is how many threads there may be, `processes` how many of those."""
        self._cores = cores
        self._cap = cap
        self._processes = processes
        self.load = Load()
        self.workers = 1
        self.kind = THREADS
        """What they are, where there is more than one."""
        self.stage = Stage.SOLO
        self.rest = WINDOW
        """Seconds for which nothing need be measured, while it rests."""
        self._rate = 0.0
        """Activations a second with `workers` of them, when last measured."""
        self._alone = 0.0
        """The same in sequence, when that was last left."""
        self._refuted: dict[ExecutionMode, Load] = {}
        """For what was measured then, such workers did not give what the model promised."""
        self._sending: Sending | None = None
        self._trials = 0
        self._last: Decision | None = None
        self.needs_gil_share = False
        """Whether all hangs on how much of the CPU time is Python, which is not known."""
        self.needs_proof = False
        """Whether all hangs on whether activations can be sent to other processes, which was not tried."""

    def learn(self, load: Load, epoch_ns: int) -> Decision | None:
        """Activations ran one after another; gives what is decided once enough did."""
        self.load = self.load.plus(load)
        if self.load.wall < ENOUGH or self.load.activations < FEWEST:
            return None
        if self.needs_gil_share and self.load.gil_share is None:
            return None
        if self.needs_proof:
            return None
        return self._model(epoch_ns)

    def prove(self, sending: Sending, epoch_ns: int) -> Decision | None:
        """It was tried whether activations can be sent; what once could not be is not tried again."""
        self._sending, self.needs_proof = sending, False
        if sending.refusal is None:
            return None
        alone = forecast(self.load, 1, self._cores)
        if self.workers == 1 or self.kind is THREADS:
            return self._decided(epoch_ns, alone._replace(workers=self.workers), sending.refusal)
        decision = self._decided(epoch_ns, alone._replace(mode=PROCESSES), sending.refusal)
        self._pause_in_sequence(PROCESSES)
        return decision

    def suffices(self, activations: float, seconds: float) -> bool:
        """Whether so much is worth a measurement: a rate of few activations is chance."""
        if seconds < (self.rest if self.stage is Stage.REST else WINDOW):
            return False
        longest = max(LONGEST_WINDOW, LONG_ONES * self.load.service)
        enough = activations >= PER_WORKER * (self.workers - 1) and self.kind is THREADS
        return enough or seconds >= longest

    def measure(self, activations: float, seconds: float, epoch_ns: int) -> Decision | None:
        """So many activations ended in these seconds on all the workers; gives what follows, if anything does."""
        if not self.suffices(activations, seconds):
            return None
        rate, margin = activations / seconds, max(PROVEN - 1, 2 * (self.workers - 1) / max(1, activations))
        match self.stage:
            case Stage.JUMPED:
                return self._after_jump(rate, epoch_ns)
            case Stage.SETTLED:
                return self._try(rate, epoch_ns)
            case Stage.TRIAL:
                return self._after_trial(rate, margin)
            case _:
                return self._look_again(rate, epoch_ns)

    def _model(self, epoch_ns: int) -> Decision:
        load, now = self.load, forecast(self.load, 1, self._cores)
        threads, away = best(load, self._cores, self._cap), self._away(load)
        if threads.rate < now.rate * WORTH_IT and load.gil_share is None:
            native = best(load._replace(python=0.0, native=ENOUGH_LOOKS), self._cores, self._cap)
            if native.rate >= now.rate * WORTH_IT:
                self.needs_gil_share = True
                reason = "how much of the CPU time is Python is to be found out"
                return self._decided(epoch_ns, now._replace(term=threads.term), reason)
        found, refuted = threads, self._is_refuted(threads)
        if away is not None and away.rate >= WORTH_IT * max(now.rate, 0.0 if refuted else threads.rate):
            found, refuted = away, self._is_refuted(away)
            if self._sending is None and not refuted:
                self.needs_proof = True
                reason = "whether other processes can be sent it is to be found out"
                return self._decided(epoch_ns, now._replace(term=away.term), reason)
        if found.rate < now.rate * WORTH_IT or refuted:
            reason = f"{_NAMES[found.mode]} did not help before" if refuted else _no_gain(found.term, away)
            decision = self._decided(epoch_ns, now._replace(term=found.term), reason)
            self._pause()
            return decision
        self.stage = Stage.JUMPED
        self._trials, self._rate, self._alone = 0, now.rate, now.rate
        return self._decided(epoch_ns, found, _binding(found))

    def _away(self, load: Load) -> Forecast | None:
        """What processes would give, if there may be any, and nothing is known that cannot be sent to them."""
        sending = self._sending or Sending()
        if self._processes < 2 or sending.refusal is not None:
            return None
        few = elsewhere(load, min(self._processes, math.ceil(self._cores)), self._cores, sending)
        many = elsewhere(load, self._processes, self._cores, sending)
        return many if many.rate >= WORTH_IT * few.rate else few

    def _is_refuted(self, found: Forecast) -> bool:
        before = self._refuted.get(found.mode)
        return found.workers > 1 and before is not None and self.load.resembles(before, CHANGED)

    def _after_jump(self, rate: float, epoch_ns: int) -> Decision | None:
        if rate >= self._rate * PROVEN:
            self.stage, self._rate = Stage.SETTLED, rate
            return self._judged(rate, Fate.KEPT)
        undone = self._judged(rate, Fate.UNDONE)
        self._pause_in_sequence(self.kind)
        return undone

    def _try(self, rate: float, epoch_ns: int) -> Decision | None:
        self._rate = rate
        if self.kind is PROCESSES:
            self._pause()
            return None
        more = min(self._cap, self.workers + max(1, self.workers // 2))
        if self.load.breadth < more or self._trials >= MOST_TRIALS or more == self.workers:
            self._pause()
            return None
        self._trials += 1
        self.stage = Stage.TRIAL
        expected = forecast(self.load, more, self._cores)
        return self._decided(epoch_ns, expected._replace(rate=max(expected.rate, rate)), "trial of more")

    def _after_trial(self, rate: float, margin: float) -> Decision | None:
        assert self._last is not None
        if rate > self._rate * (1 + margin):
            self._rate, self.stage = rate, Stage.SETTLED
            return self._judged(rate, Fate.KEPT)
        self.workers = self._last.before
        undone = self._judged(rate, Fate.UNDONE)
        self._pause()
        return undone

    def _look_again(self, rate: float, epoch_ns: int) -> Decision | None:
        """Rests on, longer each time, while nothing changes; else trials may be made anew."""
        if self.workers > 1 and rate < self._alone:
            tried, one = self.kind, Forecast(1, self._alone, Term.WORKERS, self.kind)
            decision = self._decided(epoch_ns, one, f"{_NAMES[tried]} give less than one thread by now")
            self._pause_in_sequence(tried)
            return decision
        changed = abs(rate - self._rate) > CHANGED * self._rate
        self._rate = rate
        if changed and self.workers > 1:
            self._trials, self.rest, self.stage = 0, WINDOW, Stage.SETTLED
        else:
            self._pause()
        return None

    def _pause(self) -> None:
        """Rests for twice as long as the last time, and learns anew from what comes after."""
        self.rest = min(LONGEST_REST, self.rest * 2)
        self.stage = Stage.REST
        if self.workers == 1:
            self.load, self.needs_gil_share = Load(python=self.load.python, native=self.load.native), False

    def _pause_in_sequence(self, tried: ExecutionMode) -> None:
        """What was tried has not helped with such a load."""
        self._refuted[tried] = self.load
        self.workers, self.kind = 1, THREADS
        self._pause()

    def _decided(self, epoch_ns: int, found: Forecast, reason: str) -> Decision:
        before, self.workers = self.workers, found.workers
        self.kind = found.mode if found.workers > 1 else THREADS
        self._last = Decision(
            epoch_ns=epoch_ns,
            before=before,
            after=found.workers,
            reason=reason,
            term=found.term,
            load=self.load,
            predicted=found.rate,
            fate=Fate.OPEN if 1 < found.workers != before else Fate.KEPT,
            mode=found.mode,
        )
        return self._last

    def _judged(self, measured: float, fate: Fate) -> Decision:
        assert self._last is not None
        self._last = self._last._replace(measured=measured, fate=fate)
        return self._last


_NAMES = {THREADS: "threads", PROCESSES: "processes"}


def _binding(found: Forecast) -> str:
    if found.mode is PROCESSES:
        return "Python binds, and each process has an interpreter of its own"
    known = {Term.GIL: "up to where Python binds", Term.CORES: "up to where the cores bind"}
    known[Term.CRITICAL_PATH] = "as many as there is to do at once"
    return known.get(found.term, "activations wait, and threads can wait side by side")


def _no_gain(term: Term, away: Forecast | None) -> str:
    known = {
        Term.GIL: "Python binds",
        Term.CORES: "the cores bind",
        Term.CRITICAL_PATH: "one thing follows on the other",
    }
    binds, would = f"{known[term]}: " if term in known else "", "threads would not help"
    return binds + (would if away is None else f"{would}, nor would processes")
