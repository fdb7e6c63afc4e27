"""The line: what waits for workers, and which worker has what. Whoever calls anything here holds the desk's lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from routilux.drivers.processes.errand import Batch, Errand, Identity
from routilux.drivers.processes.pace import MESSAGE_NS, Load

_WORTH_TAKING_NS = 1_000_000
"""So much work another worker must have left before it is worth a message to take it over."""

_LITTLE = 64
"""More attempts are never so little work that it would be worth finding out."""


class Post:
    """A worker's place at the desk."""

    __slots__ = ("batch", "forgets", "idle", "kill", "number", "picked", "pinned", "wake")

    def __init__(self, number: int, kill: Callable[[], None]) -> None:
        self.number = number
        self.kill = kill
        self.batch: Batch | None = None
        """What it was sent."""
        self.pinned: deque[Errand] = deque()
        """Pulls of generators that are open there."""
        self.forgets: list[str] = []
        """Jobs whose generators it is to close."""
        self.idle = False
        self.picked = 0
        """How many attempts it was last given."""
        self.wake = threading.Lock()
        self.wake.acquire()

    @property
    def left(self) -> int:
        """How many attempts it has been given, or is about to be sent, that have not begun."""
        return self.picked if self.batch is None else len(self.batch.errands) - self.batch.board.begun


class Line:
    """Of one desk."""

    def __init__(self, workers: int, now: Callable[[], int]) -> None:
        self.load = Load(workers)
        self.errands: dict[Identity, Errand] = {}
        """All that have not ended, wherever they are."""
        self.waiting: deque[Errand] = deque()
        self.posts: list[Post] = []
        self.idle: list[Post] = []
        self.open: dict[Identity, Post] = {}
        """Where generators are open."""
        self.lost: dict[Identity, str] = {}
        """What ended the workers of generators that were open there."""
        self._workers = workers
        self._now = now

    def enter(self, errand: Errand) -> None:
        """An attempt comes in, and whoever can run it is woken."""
        self.errands[errand.identity] = errand
        self.load.enter(errand.weight_ns)
        home = self.open.get(errand.identity) if self.open else None
        if home is not None:
            home.pinned.append(errand)
            self.wake(home)
            return
        self._find_lost(errand)
        self.waiting.append(errand)
        if self.idle:
            self.wake(self.idle[-1])

    def leave(self, errand: Errand) -> None:
        """An attempt has ended, or nobody wants it any more."""
        errand.batch = None  # which refers to it: what it was given is to be freed at once
        if self.errands.pop(errand.identity, None) is not None:
            self.load.leave(errand.weight_ns)

    def picked(self, post: Post) -> list[Errand]:
        """What a worker does next: a pull of its own, or its share of what waits, as much as makes a message."""
        post.picked = 0
        if post.pinned:
            post.picked = 1
            return [post.pinned.popleft()]
        if not self.waiting:
            self._take_over()
        waiting, errands, work_ns = self.waiting, list[Errand](), 0
        fair = self._fair_share()
        while waiting and len(errands) < fair:
            errand = waiting[0]
            work_ns += errand.weight_ns
            if errands and (work_ns > MESSAGE_NS or len(errands) >= errand.pace.together):
                break
            errands.append(waiting.popleft())
            if errand.pace.together == 1:
                break
        post.picked = len(errands)
        return errands

    def _fair_share(self) -> int:
        """How many of those that wait one worker is to have: as many as any other; of little, what makes them even."""
        shared = len(self.waiting)
        if shared <= _LITTLE and sum(one.weight_ns for one in self.waiting) <= _WORTH_TAKING_NS:
            shared += sum(post.left for post in self.posts)
        return -(-shared // self._workers)

    def put_back(self, errands: Iterable[Errand]) -> None:
        """What has not begun waits again, before everything else."""
        for errand in reversed(list(errands)):
            errand.batch = None
            home = self.open.get(errand.identity)
            if home is not None:
                home.pinned.appendleft(errand)
                self.wake(home)
                continue
            self._find_lost(errand)
            self.waiting.appendleft(errand)
        if self.waiting and self.idle:
            self.wake(self.idle[-1])

    def _find_lost(self, errand: Errand) -> None:
        """A generator whose worker has died is opened anew wherever it is asked next, unless it may run only once."""
        if self.lost:
            end = self.lost.pop(errand.identity, None)
            if not errand.pace.station.crash_retries:
                errand.lost = end or errand.lost

    def unqueue(self, errand: Errand) -> None:
        """Takes an errand out of whatever line it stands in; one that is just being pickled stands in none."""
        for line in (self.waiting, *(post.pinned for post in self.posts)):
            if errand in line:
                line.remove(errand)
                return

    def wake(self, post: Post) -> None:
        """Has an idle worker look again."""
        if post.idle:
            post.idle = False
            self.idle.remove(post)
            post.wake.release()

    def _take_over(self) -> None:
        """Half of what some worker has not begun waits again, if that is worth it."""
        for post in self.posts:
            batch = post.batch
            begun = 0 if batch is None else batch.board.begun
            if batch is None or not begun:
                continue
            rest = batch.errands[begun:]
            late = self._now() - batch.sent > MESSAGE_NS
            if rest and (late or sum(errand.weight_ns for errand in rest) > _WORTH_TAKING_NS):
                self.put_back(batch.cut(begun + len(rest) // 2))
                return
