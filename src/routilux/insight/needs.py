"""What each attempt of a trace could not begin without.

An attempt needs the attempts that emitted what it was handed; a second attempt, or a generator's next value, needs
the one before. What fired only when nothing else of the job could run, as a `collect`, waits for rest: it would do
so in any mode.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from routilux.facts import ActivationStatus
from routilux.insight.trace import Attempt, Trace


class Need(NamedTuple):
    """An earlier attempt that must have ended."""

    earlier: int
    """Its place in `Trace.attempts`."""
    delay: float = 0.0
    """Seconds that must have passed since, as a retry asks for."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the attempts of a trace need, each by its place in `Trace.attempts`."""

    of: tuple[tuple[Need, ...], ...]
    at_rest: frozenset[int]
    """Those that wait until nothing else can run."""
    continued: frozenset[int]
    """Those that ask an open generator for its next value."""


def needs_of(trace: Trace) -> Needs:
    """What each attempt of a trace needs."""
    attempts = trace.attempts
    own: dict[int, list[int]] = {}
    ends = _Ends(attempts)
    found: list[tuple[Need, ...]] = []
    at_rest, continued = set(), set()
    for index, attempt in enumerate(attempts):
        before = own.setdefault(attempt.activation_id, [])
        if before:
            previous = attempts[before[-1]]
            yielded = previous.status is ActivationStatus.YIELDED
            found.append((Need(before[-1], 0.0 if yielded else max(0, attempt.fired - previous.ended) / 1e9),))
            if yielded:
                continued.add(index)
        else:
            observed = trace.observed(attempt.routine_id)
            emitters = {_emitter(own[cause], attempts, attempt.fired) for cause in attempt.causes if cause in own}
            emitters |= {own[opener][-1] for opener in _openers(attempts, own, attempt.causes, observed.gathers)}
            if observed.collects:
                at_rest.add(index)
            unfired = all(attempts[emitter].ended < attempt.fired for emitter in emitters)
            last = ends.last_before(attempt.fired, index) if unfired else None
            if last is not None:
                # No emission came at that moment: a timer had it fired, or that nothing else could run.
                emitters.add(last)
                if ends.at_rest(attempt.fired):
                    at_rest.add(index)
            found.append(tuple(Need(emitter) for emitter in sorted(emitters)))
        before.append(index)
    return Needs(tuple(found), frozenset(at_rest), frozenset(continued))


def _emitter(candidates: Sequence[int], attempts: tuple[Attempt, ...], fired: int) -> int:
    """Which attempt of one activation emitted what fired at a moment: the last that had ended by then."""
    place = bisect_right(candidates, fired, key=lambda index: attempts[index].ended)
    return candidates[max(0, place - 1)]


def _openers(
    attempts: Sequence[Attempt], own: Mapping[int, Sequence[int]], causes: Sequence[int], gathered: str | None
) -> set[int]:
    """The activations that opened the fan-outs which are gathered: of that routine, and what the causes come from."""
    found: set[int] = set()
    unseen = [] if gathered is None else list(causes)
    seen = set(unseen)
    while unseen:
        number = unseen.pop()
        if number not in own:
            continue
        one = attempts[own[number][0]]
        if one.routine_id == gathered:
            found.add(number)
        else:
            unseen += set(one.causes) - seen
            seen.update(one.causes)
    return found


class _Ends:
    """When the attempts of a trace ended, in order, so that a moment can be looked up."""

    def __init__(self, attempts: tuple[Attempt, ...]) -> None:
        self._by_end = sorted(range(len(attempts)), key=lambda index: attempts[index].ended)
        self._ended = [attempts[index].ended for index in self._by_end]
        self._fired = sorted(attempt.fired for attempt in attempts)

    def at_rest(self, moment: int) -> bool:
        """Whether all that had fired before a moment had ended by then."""
        return bisect_right(self._ended, moment) >= bisect_left(self._fired, moment)

    def last_before(self, moment: int, index: int) -> int | None:
        """The last of the attempts before `index` to have ended by a moment, if there is one."""
        last = bisect_right(self._ended, moment) - 1
        return next((self._by_end[place] for place in range(last, -1, -1) if self._by_end[place] < index), None)
