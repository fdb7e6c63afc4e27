"""The limits of a flow, which all of its jobs share: so many at once, or so many in a time.

Jobs run in different threads, and so this is one of the few places with a lock of its own; it is held for a few
dictionary look-ups, and never while anything else is called.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping

from routilux.errors import SettingError
from routilux.permits import Permits
from routilux.rates import Rate, rate_of


class _Count:
    """A limit on how many hold it at once."""

    __slots__ = ("holders", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: dict[tuple[str, int], None] = {}


class _Pace:
    """A limit on how often it may be taken: never more than so many in a period, wherever that begins.

    So it remembers when the last of them were taken. A bucket that fills up would need less memory, but lets twice as
    many through in the period after a rest, which those who set such limits on others do not forgive.
    """

    __slots__ = ("_count", "_period", "_taken")

    def __init__(self, rate: Rate) -> None:
        self._count = rate.times
        self._period = rate.period_ns
        self._taken: deque[int] = deque(maxlen=rate.times)

    def wait_until(self, moment: int) -> int:
        """When one may be taken: `moment` or later."""
        return max(moment, self._taken[0] + self._period) if len(self._taken) == self._count else moment

    def take(self, moment: int) -> None:
        """One is taken; threads may come with moments that are a little out of order."""
        self._taken.append(max(moment, self._taken[-1]) if self._taken else moment)


class _Waker:
    """A job that waits, and how it is told."""

    __slots__ = ("job_id", "wake")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.wake: Callable[[], None] = lambda: None


class Limits:
    """What is shared by the jobs of one flow."""

    def __init__(self, limits: Mapping[str, int | str] | None = None) -> None:
        """By name: a whole number, how many activations may hold it at once; or a rate as "10/s"."""
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._paces: dict[str, _Pace] = {}
        self._waiting: dict[str, dict[str, _Waker]] = {}
        for name, limit in (limits or {}).items():
            if not isinstance(name, str) or not name:
                raise SettingError(f"limits: the name of a limit must be a text that is not empty, not {name!r}.")
            if isinstance(limit, str):
                self.add_rate(name, limit)
            elif type(limit) is int and limit >= 1:
                self._counts[name] = _Count(limit)
            else:
                raise SettingError(f'limits: {name!r} must be a number from 1, or a rate as "10/s", not {limit!r}.')

    @property
    def names(self) -> list[str]:
        """The names that routines may use."""
        return [*self._counts, *self._paces]

    def add_rate(self, name: str, written: str) -> None:
        """Adds a limit on how often something may begin, unless there is one of this name."""
        rate = rate_of(f"limits: {name!r}", written)
        with self._lock:
            self._paces.setdefault(name, _Pace(rate))

    def of_job(self, job_id: str) -> Permits:
        """The limits as one job sees them."""
        return _OfJob(self, _Waker(job_id))

    def take(self, needs: tuple[str, ...], activation_id: int, moment: int, waker: _Waker) -> int | None:
        """As `Permits.take`, for one job."""
        holder = waker.job_id, activation_id
        with self._lock:
            for need in needs:
                count = self._counts.get(need)
                if count is not None and len(count.holders) >= count.limit:
                    self._waiting.setdefault(need, {})[waker.job_id] = waker
                    return 0
            paces = [self._paces[need] for need in needs if need in self._paces]
            due = max((pace.wait_until(moment) for pace in paces), default=moment)
            if due > moment:
                return due
            for pace in paces:
                pace.take(moment)
            for need in needs:
                if need in self._counts:
                    self._counts[need].holders[holder] = None
        return None

    def give_back(self, needs: tuple[str, ...], activation_id: int, job_id: str) -> None:
        """As `Permits.give_back`, for one job; tells all jobs that wait for any of it."""
        woken: dict[str, _Waker] = {}
        with self._lock:
            for need in needs:
                count = self._counts.get(need)
                if count is not None and count.holders.pop((job_id, activation_id), 0) is None:
                    woken |= self._waiting.pop(need, {})
        for waker in woken.values():
            waker.wake()

    def give_all_back(self, job_id: str) -> None:
        """As `Permits.give_all_back`, for one job, which waits for nothing any more."""
        with self._lock:
            for waiting in self._waiting.values():
                waiting.pop(job_id, None)
            held = [
                (need, number)
                for need, count in self._counts.items()
                for holder, number in list(count.holders)
                if holder == job_id
            ]
        for need, number in held:
            self.give_back((need,), number, job_id)

    def holders(self, need: str) -> list[str]:
        """In words, who holds a limit."""
        with self._lock:
            count = self._counts.get(need)
            held = [] if count is None else list(count.holders)
        return [f"activation {number} of job {job_id}" for job_id, number in held]


class _OfJob(Permits):
    def __init__(self, limits: Limits, waker: _Waker) -> None:
        self._limits = limits
        self._waker = waker

    def when_freed(self, tell: Callable[[], None]) -> None:
        self._waker.wake = tell

    def take(self, needs: tuple[str, ...], activation_id: int, moment: int) -> int | None:
        return self._limits.take(needs, activation_id, moment, self._waker)

    def give_back(self, needs: tuple[str, ...], activation_id: int) -> None:
        self._limits.give_back(needs, activation_id, self._waker.job_id)

    def give_all_back(self) -> None:
        self._limits.give_all_back(self._waker.job_id)

    def holders(self, need: str) -> list[str]:
        return self._limits.holders(need)


class _Unlimited(Permits):
    """Of jobs none of whose routines is limited, and which so share nothing with others."""

    def when_freed(self, tell: Callable[[], None]) -> None:
        return

    def take(self, needs: tuple[str, ...], activation_id: int, moment: int) -> int | None:
        return None

    def give_back(self, needs: tuple[str, ...], activation_id: int) -> None:
        return

    def give_all_back(self) -> None:
        return

    def holders(self, need: str) -> list[str]:
        return []


UNLIMITED = _Unlimited()
