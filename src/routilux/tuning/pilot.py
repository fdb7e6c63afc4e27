"""The pilot: chooses how many threads run a flow's jobs. Model, jump, confirm, rest.

A fold over measurements: numbers go in, decisions come out; it has no clock and no thread, and starts nothing.

    solo load -> model -> jump -> measured -> kept? -> trial of half as many again -> kept? -> rest
                   |                  |                      |
                   +-- no gain: rest  +-- undone: one        +-- undone: as before

Nothing is changed for a gain of less than `WORTH_IT`, and what does not prove itself is undone, once.
"""

from __future__ import annotations

import enum

from routilux.insight.term import Term
from routilux.tuning.decision import Decision, Fate
from routilux.tuning.load import ENOUGH_LOOKS, Load, best, forecast
from routilux.tuning.port import MOST_THREADS

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

    def __init__(self, cores: float, cap: int = MOST_THREADS) -> None:
        """`cap` is how many threads there may be."""
        self._cores = cores
        self._cap = cap
        self.load = Load()
        self.workers = 1
        self.stage = Stage.SOLO
        self.rest = WINDOW
        """Seconds for which nothing need be measured, while it rests."""
        self._rate = 0.0
        """Activations a second with `workers` of them, when last measured."""
        self._refuted: Load | None = None
        """For what was measured then, threads did not give what the model promised."""
        self._trials = 0
        self._last: Decision | None = None
        self.needs_gil_share = False
        """Whether all hangs on how much of the CPU time is Python, which is not known."""

    def learn(self, load: Load, epoch_ns: int) -> Decision | None:
        """Activations ran one after another; gives what is decided once enough did."""
        self.load = self.load.plus(load)
        if self.load.wall < ENOUGH or self.load.activations < FEWEST:
            return None
        if self.needs_gil_share and self.load.gil_share is None:
            return None
        return self._model(epoch_ns)

    def suffices(self, activations: int, seconds: float) -> bool:
        """Whether so much is worth a measurement: a rate of few activations is chance."""
        if seconds < (self.rest if self.stage is Stage.REST else WINDOW):
            return False
        return activations >= PER_WORKER * (self.workers - 1) or seconds >= LONGEST_WINDOW

    def measure(self, activations: int, seconds: float, epoch_ns: int) -> Decision | None:
        """So many activations ended in these seconds on `workers` threads; gives what follows, if anything does."""
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
                return self._look_again(rate)

    def _model(self, epoch_ns: int) -> Decision:
        load, now = self.load, forecast(self.load, 1, self._cores)
        found = best(load, self._cores, self._cap)
        if found.rate < now.rate * WORTH_IT:
            native = best(load._replace(python=0.0, native=ENOUGH_LOOKS), self._cores, self._cap)
            unknown = load.gil_share is None and native.rate >= now.rate * WORTH_IT
            reason = "how much of the CPU time is Python is to be found out" if unknown else _no_gain(found.term)
            decision = self._decided(epoch_ns, 1, reason, found.term, now.rate)
            if unknown:
                self.needs_gil_share = True
            else:
                self._pause()
            return decision
        if self._refuted is not None and load.resembles(self._refuted, CHANGED):
            decision = self._decided(epoch_ns, 1, "threads did not help before", found.term, now.rate)
            self._pause()
            return decision
        self.stage = Stage.JUMPED
        self._trials, self._rate = 0, now.rate
        return self._decided(epoch_ns, found.workers, _binding(found.term), found.term, found.rate)

    def _after_jump(self, rate: float, epoch_ns: int) -> Decision | None:
        if rate >= self._rate * PROVEN:
            self.stage, self._rate = Stage.SETTLED, rate
            return self._judged(rate, Fate.KEPT)
        undone = self._judged(rate, Fate.UNDONE)
        self.workers, self._refuted = 1, self.load
        self._pause()
        return undone

    def _try(self, rate: float, epoch_ns: int) -> Decision | None:
        self._rate = rate
        more = min(self._cap, self.workers + max(1, self.workers // 2))
        if self.load.breadth < more or self._trials >= MOST_TRIALS or more == self.workers:
            self._pause()
            return None
        self._trials += 1
        self.stage = Stage.TRIAL
        expected = forecast(self.load, more, self._cores)
        return self._decided(epoch_ns, more, "trial of more", expected.term, max(expected.rate, rate))

    def _after_trial(self, rate: float, margin: float) -> Decision | None:
        assert self._last is not None
        if rate > self._rate * (1 + margin):
            self._rate, self.stage = rate, Stage.SETTLED
            return self._judged(rate, Fate.KEPT)
        self.workers = self._last.before
        undone = self._judged(rate, Fate.UNDONE)
        self._pause()
        return undone

    def _look_again(self, rate: float) -> Decision | None:
        """Rests on, longer each time, while nothing changes; else trials may be made anew."""
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

    def _decided(self, epoch_ns: int, after: int, reason: str, term: Term, predicted: float) -> Decision:
        before, self.workers = self.workers, after
        self._last = Decision(
            epoch_ns=epoch_ns,
            before=before,
            after=after,
            reason=reason,
            term=term,
            load=self.load,
            predicted=predicted,
            fate=Fate.OPEN if after != before else Fate.KEPT,
        )
        return self._last

    def _judged(self, measured: float, fate: Fate) -> Decision:
        assert self._last is not None
        self._last = self._last._replace(measured=measured, fate=fate)
        return self._last


def _binding(term: Term) -> str:
    known = {Term.GIL: "up to where Python binds", Term.CORES: "up to where the cores bind"}
    known[Term.CRITICAL_PATH] = "as many as there is to do at once"
    return known.get(term, "activations wait, and threads can wait side by side")


def _no_gain(term: Term) -> str:
    known = {Term.GIL: "Python binds: threads would not help", Term.CORES: "the cores bind: threads would not help"}
    known[Term.CRITICAL_PATH] = "one thing follows on the other: threads would not help"
    return known.get(term, "threads would not help")
