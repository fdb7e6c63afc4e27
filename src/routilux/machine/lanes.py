"""Lanes: what holds back the activations of a routine that is limited.

A lane lets an activation begin when its routine's own limit and everything it needs of what jobs share can be had,
all at once or not at all, at the moment when a worker would take it. What cannot begin waits in the lane, in order,
and not among what is ready, so it keeps nobody else waiting. Whenever something was given back, the first that
waits is offered again.
"""

from __future__ import annotations

from collections import deque

from routilux.machine.delivery import Activation
from routilux.permits import Permits

NO_LIMIT = 1 << 60


class Lane:
    """The activations of one limited routine in one job."""

    __slots__ = ("_inside", "_limit", "_needs", "_permits", "blocked", "offered", "timed", "waiting")

    def __init__(self, limit: int | None, needs: tuple[str, ...], permits: Permits) -> None:
        self._limit = NO_LIMIT if limit is None else limit
        self._needs = needs
        self._permits = permits
        self._inside: set[int] = set()
        self.waiting: deque[Activation] = deque()
        self.offered: Activation | None = None
        """The one that waited first and is among what is ready again."""
        self.blocked = False
        """Whether what the first waits for is shared with others."""
        self.timed = False
        """Whether it waits for a moment, and not for somebody."""

    def enter(self, activation: Activation, moment: int) -> int | None:
        """Lets an activation begin, and gives `None`; or keeps it, and gives when to offer it again (0: when told)."""
        number, again = activation[0], activation is self.offered
        if number in self._inside:
            return None
        if again:
            self.offered = None
        elif self.waiting or self.offered is not None:
            self.waiting.append(activation)
            return 0
        has_room = not self.is_full
        due = self._permits.take(self._needs, number, moment) if has_room and self._needs else None
        if has_room and due is None:
            self._inside.add(number)
            return None
        self.blocked, self.timed = has_room, bool(due)
        if again:
            self.waiting.appendleft(activation)
        else:
            self.waiting.append(activation)
        return due or 0

    def leave(self, activation: Activation) -> None:
        """An activation that had begun needs its place no more."""
        self._inside.discard(activation[0])
        if self._needs:
            self._permits.give_back(self._needs, activation[0])

    @property
    def is_full(self) -> bool:
        """Whether as many run in this job as may."""
        return len(self._inside) >= self._limit

    def offer(self) -> Activation | None:
        """The activation that waited first, to be made ready again; `None` if nobody waits, or one is offered."""
        if not self.waiting or self.offered is not None or self.is_full:
            return None
        self.offered = self.waiting.popleft()
        return self.offered

    def reason(self) -> str:
        """Why the first waits, in words."""
        if self.blocked:
            held = {need: self._permits.holders(need) for need in self._needs}
            return "limit: " + " and ".join(
                f"{need!r}" + (f", held by {', '.join(by)}" if by else "") for need, by in held.items()
            )
        holders = ", ".join(map(str, sorted(self._inside)))
        return f"limit: max_concurrency={self._limit} is reached, held by activation {holders}"
