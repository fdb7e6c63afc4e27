"""The desk: where attempts wait until a worker is free, and where it is known which worker has what.

Everything here happens under one lock, which is held for moments only: nothing is pickled, sent or waited for. The
engine brings attempts and takes them back; the threads of the workers fetch them as late as possible, in messages of
about the same length, and tell what came of them. A worker that finds nothing takes over what another has not begun.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from routilux.drivers.port import Seat, Stopping
from routilux.drivers.processes.board import Board
from routilux.drivers.processes.errand import Batch, Errand, Identity
from routilux.drivers.processes.pace import AHEAD_NS, MESSAGE_NS

_WORTH_TAKING_NS = 1_000_000
"""So much work another worker must have left before it is worth a message to take it over."""


class Post:
    """A worker's place at the desk."""

    __slots__ = ("batch", "forgets", "idle", "kill", "number", "pinned", "wake")

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
        self.wake = threading.Lock()
        self.wake.acquire()


class Desk:
    """Of one driver."""

    def __init__(self, workers: int, now: Callable[[], int]) -> None:
        self.now = now
        self._workers = workers
        self._lock = threading.Lock()
        self._waiting: deque[Errand] = deque()
        self.errands: dict[Identity, Errand] = {}
        """What has not ended; for others to look at only."""
        self._posts: list[Post] = []
        self._idle: list[Post] = []
        self._open: dict[Identity, Post] = {}
        """Where generators are open."""
        self._lost: dict[Identity, BaseException] = {}
        """Why generators are gone that were open in a worker."""
        self._load_ns = 0
        self._typical_ns = float(AHEAD_NS)
        self.closed = False

    @property
    def free(self) -> int:
        """How many more attempts keep all workers busy for a moment; at least 1 while a worker has nothing."""
        spare = self._workers * AHEAD_NS - self._load_ns
        return 0 if spare <= 0 else -int(-spare // self._typical_ns)

    @property
    def window(self) -> int:
        """How many attempts are as much work as the workers are given in all."""
        return max(2 * self._workers, int(self._workers * AHEAD_NS / self._typical_ns))

    @property
    def wants_worker(self) -> bool:
        """Whether something waits for which no worker is there yet."""
        return len(self._posts) < self._workers and bool(self._waiting) and not self._idle

    # --- the engine's side

    def add(self, errand: Errand) -> None:
        """Takes an attempt, and wakes who can run it."""
        identity = errand.identity
        with self._lock:
            self.errands[identity] = errand
            self._load_ns += errand.weight_ns
            home = self._open.get(identity) if self._open else None
            if home is not None:
                home.pinned.append(errand)
                self._wake(home)
                return
            if self._lost:
                errand.lost = self._lost.pop(identity, None)
            self._waiting.append(errand)
            if self._idle:
                self._wake(self._idle[-1])

    def withdraw(self, errand: Errand) -> None:
        """Takes back what was just added, because there is nobody to run it."""
        with self._lock:
            self._waiting.remove(errand)
            self._leave(errand)

    def stop(self, identity: Identity) -> Stopping:
        """Takes an attempt back, or ends the worker that runs it."""
        with self._lock:
            errand = self.errands.get(identity)
            if errand is None:
                return Stopping.ASKED
            batch, position = errand.batch, errand.position
            if batch is None:
                self._unqueue(errand)
            elif rest := batch.cut(position):
                self._put_back(rest[1:])
            else:
                self._put_back(batch.cut(position + 1))
                if batch.board.begun > position + 1:
                    return Stopping.ASKED
                errand.stopped = True
                next(post for post in self._posts if post.batch is batch).kill()
                return Stopping.STOPPED
            errand.stopped = True
            self._leave(errand)
            return Stopping.NEVER_STARTED

    def cancel(self, identity: Identity) -> None:
        """Tells the handler of an attempt, if it looks, that nobody wants its outcome."""
        with self._lock:
            errand = self.errands.get(identity)
            if errand is not None and errand.batch is not None:
                errand.batch.board.cancel(errand.position)

    def forget(self, seat: Seat) -> None:
        """Has the generators of a job closed, wherever they are open."""
        with self._lock:
            for identity in [identity for identity in self._lost if identity[0] is seat]:
                del self._lost[identity]
            gone = [identity for identity in self._open if identity[0] is seat]
            for post in {self._open.pop(identity) for identity in gone}:
                post.forgets.append(seat.course.origin.job_id)
                self._wake(post)

    def close(self) -> None:
        """Nothing more is handed out, and what has not begun will not."""
        with self._lock:
            self.closed = True
            for post in self._posts:
                if post.batch is not None:
                    self._put_back(post.batch.cut(post.batch.board.begun))
                self._wake(post)

    def take_all(self) -> list[Errand]:
        """What is left when all workers have ended."""
        with self._lock:
            rest = list(self.errands.values())
            for errand in rest:
                self._leave(errand)
            self._waiting.clear()
            return [errand for errand in rest if not errand.stopped]

    # --- the side of the workers' threads

    def hire(self, kill: Callable[[], None]) -> Post:
        """A place for another worker."""
        post = Post(len(self._posts), kill)
        self._posts.append(post)
        return post

    def dismiss(self, post: Post) -> None:
        """The place of a worker that could not be started is free again."""
        self._posts.remove(post)

    def fetch(self, post: Post, *, wait: bool) -> tuple[list[Errand], list[str]] | None:
        """What a worker is to do next, and the jobs whose generators it is to close; `None` when all is over."""
        while True:
            with self._lock:
                if self.closed:
                    return None
                errands = self._picked(post)
                forgets, post.forgets = post.forgets, []
                if errands or forgets or not wait:
                    return errands, forgets
                post.idle = True
                self._idle.append(post)
            post.wake.acquire()

    def dispatch(self, post: Post, errands: Iterable[Errand], board: Board) -> Batch:
        """What of the errands is still wanted, as a batch that is about to be sent."""
        with self._lock:
            wanted = [errand for errand in errands if not errand.stopped]
            post.batch = Batch(wanted, board, self.now())
            return post.batch

    def put_back(self, errands: Iterable[Errand]) -> None:
        """What was fetched and not sent waits again, before everything else."""
        with self._lock:
            self._put_back([errand for errand in errands if not errand.stopped])

    def ended(self, post: Post, errands: Iterable[Errand], runs: Iterable[tuple[int, bool]]) -> None:
        """Attempts have ended; `runs`: how long each value took, 0 if that is unknown, and whether there are more."""
        with self._lock:
            for errand, (run_ns, more) in zip(errands, runs, strict=True):
                self._leave(errand)
                pace = errand.pace
                if run_ns:
                    pace.measured(run_ns)
                    self._typical_ns += (pace.weight_ns - self._typical_ns) * 0.2
                if more and not errand.stopped:
                    self._open[errand.identity] = post
                elif self._open:
                    self._open.pop(errand.identity, None)

    def finish(self, post: Post) -> None:
        """A worker is through with its message; what it left out waits again."""
        with self._lock:
            batch, post.batch = post.batch, None
            if batch is not None:
                self._put_back(batch.errands[batch.done :])

    def lose(self, post: Post, error: Callable[[Errand | None], BaseException]) -> tuple[Errand, BaseException] | None:
        """A worker has died: what it was running is given back, if anybody wants it; the rest waits again."""
        with self._lock:
            batch, post.batch = post.batch, None
            running, begun = None, 0
            if batch is not None:
                begun = batch.board.begun
                if begun > batch.done:
                    running = batch.errands[batch.done]
                    self._leave(running)
                    self._open.pop(running.identity, None)
            for identity in [identity for identity, home in self._open.items() if home is post]:
                del self._open[identity]
                self._lost[identity] = error(None)
            if batch is not None:
                self._put_back(batch.errands[max(begun, batch.done) :])
            self._put_back(post.pinned)
            post.pinned.clear()
            return None if running is None or running.stopped else (running, error(running))

    def share(self, post: Post) -> None:
        """A message takes longer than thought: if others are idle, they get what has not begun of it."""
        with self._lock:
            batch = post.batch
            if self._idle and batch is not None and batch.board.begun:
                self._put_back(batch.cut(batch.board.begun))

    # --- under the lock

    def _picked(self, post: Post) -> list[Errand]:
        if post.pinned:
            return [post.pinned.popleft()]
        if not self._waiting:
            self._take_over()
        waiting, errands, work_ns = self._waiting, list[Errand](), 0
        fair = -(-len(waiting) // self._workers)
        while waiting and len(errands) < fair:
            errand = waiting[0]
            work_ns += errand.weight_ns
            if errands and (work_ns > MESSAGE_NS or len(errands) >= errand.pace.together):
                break
            errands.append(waiting.popleft())
            if errand.pace.together == 1:
                break
        return errands

    def _take_over(self) -> None:
        """Half of what some worker has not begun waits again, if that is worth it."""
        for post in self._posts:
            batch = post.batch
            begun = 0 if batch is None else batch.board.begun
            if batch is None or not begun:
                continue
            rest = batch.errands[begun:]
            late = self.now() - batch.sent > MESSAGE_NS
            if rest and (late or sum(errand.weight_ns for errand in rest) > _WORTH_TAKING_NS):
                self._put_back(batch.cut(begun + len(rest) // 2))
                return

    def _put_back(self, errands: Iterable[Errand]) -> None:
        for errand in reversed(list(errands)):
            errand.batch = None
            home = self._open.get(errand.identity)
            if home is not None:
                home.pinned.appendleft(errand)
                self._wake(home)
                continue
            errand.lost = self._lost.pop(errand.identity, errand.lost)
            self._waiting.appendleft(errand)
        if self._waiting and self._idle:
            self._wake(self._idle[-1])

    def _unqueue(self, errand: Errand) -> None:
        """Takes an errand out of whatever line it stands in; one that is just being pickled stands in none."""
        for line in (self._waiting, *(post.pinned for post in self._posts)):
            if errand in line:
                line.remove(errand)
                return

    def _leave(self, errand: Errand) -> None:
        errand.batch = None  # which refers to it: what it was given is to be freed at once
        if self.errands.pop(errand.identity, None) is not None:
            self._load_ns -= errand.weight_ns

    def _wake(self, post: Post) -> None:
        if post.idle:
            post.idle = False
            self._idle.remove(post)
            post.wake.release()
