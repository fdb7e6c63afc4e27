"""The limits of a flow, which all of its jobs share: so many at once, or so many in a time.

Jobs run in different threads, and so this is one of the few places with a lock of its own; it is held for a few
dictionary look-ups, and never while anything else is called.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping

from routilux.errors import SettingError
from routilux.permits import Permits
from routilux.rates import Rate, rate_of


class _Waker:
    """A job that waits, and how it is told."""

    __slots__ = ("answers", "job_id", "wake")

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.answers = False
        """Whether, each time that it is told, it takes something or declines."""
        self.wake: Callable[[], None] = lambda: None


class _Count:
    """A limit on how many hold it at once. Who waits for it is told in order, as many as there are places for."""

    __slots__ = ("holders", "limit", "told", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: dict[tuple[str, int], None] = {}
        self.waiting: OrderedDict[str, _Waker] = OrderedDict()
        """By job, in the order in which they came."""
        self.told: set[str] = set()
        """The jobs that have been told of a place, and have not answered yet."""

    @property
    def is_full(self) -> bool:
        """Whether nobody else may hold it. A place that one was told of is not kept: it may lack something else."""
        return len(self.holders) >= self.limit

    def next_to_tell(self) -> list[_Waker]:
        """Those that there is a place for now; the place of one that need not answer may be another's as well."""
        found = []
        while self.waiting and len(self.holders) + len(self.told) < self.limit:
            job_id, waker = self.waiting.popitem(last=False)
            if waker.answers:
                self.told.add(job_id)
            found.append(waker)
        return found

    def wait(self, waker: _Waker) -> None:
        """A job waits: behind the others, unless it was told and somebody was faster."""
        self.waiting.setdefault(waker.job_id, waker)
        if waker.job_id in self.told:
            self.waiting.move_to_end(waker.job_id, last=False)


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


class Limits:
    """What is shared by the jobs of one flow."""

    def __init__(self, limits: Mapping[str, int | str] | None = None) -> None:
        """By name: a whole number, how many activations may hold it at once; or a rate as "10/s"."""
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._paces: dict[str, _Pace] = {}
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
        job_id = waker.job_id
        with self._lock:
            counts = [self._counts[need] for need in needs if need in self._counts]
            paces = [self._paces[need] for need in needs if need in self._paces]
            lacking = next((count for count in counts if count.is_full), None)
            due = max((pace.wait_until(moment) for pace in paces), default=moment)
            if lacking is not None:
                lacking.wait(waker)
            elif due <= moment:
                for count in counts:
                    count.holders[job_id, activation_id] = None
                for pace in paces:
                    pace.take(moment)
            for count in counts:
                count.told.discard(job_id)
            told = _next_to_tell(counts)
        _tell(told)
        if lacking is not None:
            return 0
        return due if due > moment else None

    def give_back(self, needs: tuple[str, ...], activation_id: int, job_id: str) -> None:
        """As `Permits.give_back`, for one job."""
        with self._lock:
            counts = [self._counts[need] for need in needs if need in self._counts]
            for count in counts:
                count.holders.pop((job_id, activation_id), None)
            told = _next_to_tell(counts)
        _tell(told)

    def decline(self, job_id: str) -> None:
        """As `Permits.decline`, for one job."""
        with self._lock:
            counts = [count for count in self._counts.values() if job_id in count.told]
            for count in counts:
                count.told.discard(job_id)
            told = _next_to_tell(counts)
        _tell(told)

    def give_all_back(self, job_id: str) -> None:
        """As `Permits.give_all_back`, for one job, which waits for nothing any more."""
        with self._lock:
            for count in self._counts.values():
                count.waiting.pop(job_id, None)
                count.told.discard(job_id)
                for holder in [holder for holder in count.holders if holder[0] == job_id]:
                    del count.holders[holder]
            told = _next_to_tell(self._counts.values())
        _tell(told)

    def holders(self, need: str) -> list[str]:
        """In words, who holds a limit."""
        with self._lock:
            count = self._counts.get(need)
            held = [] if count is None else list(count.holders)
        return [f"activation {number} of job {job_id}" for job_id, number in held]


def _next_to_tell(counts: Iterable[_Count]) -> dict[str, _Waker]:
    """By job, as one that waits for several need be told only once."""
    return {waker.job_id: waker for count in counts for waker in count.next_to_tell()}


def _tell(wakers: Mapping[str, _Waker]) -> None:
    for waker in wakers.values():
        waker.wake()


class _OfJob(Permits):
    def __init__(self, limits: Limits, waker: _Waker) -> None:
        self._limits = limits
        self._waker = waker

    def when_freed(self, tell: Callable[[], None]) -> None:
        self._waker.wake = tell

    def take(self, needs: tuple[str, ...], activation_id: int, moment: int) -> int | None:
        return self._limits.take(needs, activation_id, moment, self._waker)

    def promise(self) -> None:
        self._waker.answers = True

    def decline(self) -> None:
        self._limits.decline(self._waker.job_id)

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

    def promise(self) -> None:
        return

    def decline(self) -> None:
        return

    def give_back(self, needs: tuple[str, ...], activation_id: int) -> None:
        return

    def give_all_back(self) -> None:
        return

    def holders(self, need: str) -> list[str]:
        return []


UNLIMITED = _Unlimited()
