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

    __slots__ = ("_mean_ns", "_measured", "key", "lesson", "station", "unsendable")

    def __init__(self, key: int, station: Station) -> None:
        self.key = key
        """Names the station's recipe."""
        self.station = station
        self.lesson: bytes | None = None
        """The recipe, once it has been pickled."""
        self.unsendable: str | None = None
        """Why it cannot be."""
        self._measured = 0
        self._mean_ns = 0.0

    def measured(self, run_ns: int) -> None:
        """A handler took so long; one that took far longer than the others counts as one of many, not for all."""
        self._measured += 1
        if self._measured > 1:
            run_ns = min(run_ns, int(self._mean_ns) * _OUTLIER + _OVERHEAD_NS)
        self._mean_ns += (run_ns - self._mean_ns) / min(self._measured, _REMEMBERED)

    @property
    def weight_ns(self) -> int:
        """The work in one attempt, as the driver counts it; as much as a worker takes where nothing is known."""
        if not self._measured or self.station.timeout_ns is not None:
            return AHEAD_NS
        if self.station.is_generator:
            return MESSAGE_NS
        return min(AHEAD_NS, int(self._mean_ns) + _OVERHEAD_NS)

    @property
    def together(self) -> int:
        """How many attempts may go in one message; one while nothing is known, and then ever more."""
        if self.station.timeout_ns is not None or self.station.is_generator:
            return 1
        return min(MOST, 1 + self._measured * _GROWTH)

    @property
    def credit(self) -> int:
        """How many values a generator may give at once."""
        return min(MOST, 1 + self._measured * _GROWTH)
