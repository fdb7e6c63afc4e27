"""Pace: how long a station's handlers take, as far as is known, and so how many attempts make a good message."""

from __future__ import annotations

from routilux.machine.plan import Station

MESSAGE_NS = 5_000_000
"""So much work makes a message: its own cost is then a few percent, and nobody waits long for what is behind."""

AHEAD_NS = 2 * MESSAGE_NS
"""So much work a worker is given in all: what it does and what it does next."""

MOST = 256
"""How many attempts a message has at most."""

_OVERHEAD_NS = 10_000
_GROWTH = 4
_OUTLIER = 10
_REMEMBERED = 10


class Pace:
    """Of one station. Only the thread that holds the desk may tell it anything."""

    __slots__ = (
        "_fixed",
        "_mean_ns",
        "_measured",
        "credit",
        "key",
        "lesson",
        "station",
        "together",
        "unsendable",
        "weight_ns",
    )

    def __init__(self, key: int, station: Station) -> None:
        self.key = key
        """Names the station's recipe."""
        self.station = station
        self.lesson: bytes | None = None
        """The recipe, once it has been pickled."""
        self.unsendable: str | None = None
        """Why it cannot be."""
        self.weight_ns = AHEAD_NS
        """The work in one attempt, as the driver counts it; as much as a worker takes where nothing is known."""
        self.together = 1
        """How many attempts may go in one message; one while nothing is known, and then ever more."""
        self.credit = 1
        """How many values a generator may give at once."""
        self._fixed = station.timeout_ns is not None
        self._measured = 0
        self._mean_ns = 0

    def measured(self, run_ns: int) -> None:
        """A handler took so long; one that took far longer than the others counts as one of many, not for all."""
        mean = self._mean_ns
        self._measured += 1
        if self._measured <= _REMEMBERED:
            self._mean_ns += (run_ns - mean) // self._measured
            if not self._fixed:
                self._widen()
            return
        if run_ns > mean * _OUTLIER:
            run_ns = mean * _OUTLIER + _OVERHEAD_NS
        self._mean_ns = mean = mean + (run_ns - mean) // _REMEMBERED
        if not self._fixed:
            self.weight_ns = mean + _OVERHEAD_NS if mean < AHEAD_NS else AHEAD_NS

    def _widen(self) -> None:
        """More is known, so more is dared."""
        many = MOST if self._measured == _REMEMBERED else 1 + self._measured * _GROWTH
        if self.station.is_generator:
            self.credit, self.weight_ns = many, MESSAGE_NS
            self._fixed = self._measured == _REMEMBERED
        else:
            self.together = many
            self.weight_ns = min(AHEAD_NS, self._mean_ns + _OVERHEAD_NS)


class Load:
    """How much work the workers have been given, and how much they are to be given."""

    __slots__ = ("_given_ns", "_typical_ns", "_workers")

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._given_ns = 0
        self._typical_ns = float(AHEAD_NS)

    @property
    def free(self) -> int:
        """How many more attempts keep all workers busy for a moment; at least 1 while a worker has nothing."""
        spare = self._workers * AHEAD_NS - self._given_ns
        return 0 if spare <= 0 else -int(-spare // self._typical_ns)

    @property
    def window(self) -> int:
        """How many attempts are as much work as the workers are given in all."""
        return max(2 * self._workers, int(self._workers * AHEAD_NS / self._typical_ns))

    def enter(self, weight_ns: int) -> None:
        """An attempt was given to the workers."""
        self._given_ns += weight_ns

    def leave(self, weight_ns: int) -> None:
        """It has ended."""
        self._given_ns -= weight_ns

    def measured(self, weight_ns: int) -> None:
        """An attempt is now known to be so much work."""
        self._typical_ns += (weight_ns - self._typical_ns) * 0.2
