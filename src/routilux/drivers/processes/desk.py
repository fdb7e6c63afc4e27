"""The desk: where attempts wait until a worker is free, and where it is known which worker has what.

Everything here happens under one lock, which is held for moments only: nothing is pickled, sent or waited for. The
engine brings attempts and takes them back; the threads of the workers fetch them as late as possible, in messages of
about the same length, and tell what came of them. A worker that finds nothing takes over what another has not begun.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from routilux.drivers.port import Seat, Stopping
from routilux.drivers.processes.board import Board
from routilux.drivers.processes.errand import Batch, Errand, Identity
from routilux.drivers.processes.line import Line, Post

Packed = TypeVar("Packed")
"""An errand as it is sent."""


class Desk:
    """Of one driver."""

    def __init__(self, workers: int, now: Callable[[], int]) -> None:
        self.now = now
        self._workers = workers
        self._lock = threading.Lock()
        self._line = Line(workers, now)
        self.load = self._line.load
        self.errands = self._line.errands
        """What has not ended; for others to look at only."""
        self.closed = False

    @property
    def wants_worker(self) -> bool:
        """Whether something waits for which no worker is there yet."""
        return len(self._line.posts) < self._workers and bool(self._line.waiting) and not self._line.idle

    # --- the engine's side

    def add(self, errand: Errand) -> None:
        """Takes an attempt, and wakes who can run it."""
        with self._lock:
            self._line.enter(errand)

    def withdraw(self, errand: Errand) -> None:
        """Takes back what was just added, because there is nobody to run it."""
        with self._lock:
            self._line.waiting.remove(errand)
            self._line.leave(errand)

    def stop(self, identity: Identity) -> Stopping:
        """Takes an attempt back, or ends the worker that runs it."""
        with self._lock:
            errand = self._line.errands.get(identity)
            if errand is None:
                return Stopping.ASKED
            batch, position = errand.batch, errand.position
            if batch is None:
                self._line.unqueue(errand)
            elif rest := batch.cut(position):
                self._line.put_back(rest[1:])
            else:
                self._line.put_back(batch.cut(position + 1))
                if batch.board.begun > position + 1:
                    return Stopping.ASKED
                errand.stopped = True
                next(post for post in self._line.posts if post.batch is batch).kill()
                return Stopping.STOPPED
            errand.stopped = True
            self._line.leave(errand)
            return Stopping.NEVER_STARTED

    def cancel(self, identity: Identity) -> None:
        """Tells the handler of an attempt, if it looks, that nobody wants its outcome."""
        with self._lock:
            errand = self._line.errands.get(identity)
            if errand is not None and errand.batch is not None:
                errand.batch.board.cancel(errand.position)

    def forget(self, seat: Seat) -> None:
        """Has the generators of a job closed, wherever they are open."""
        with self._lock:
            for identity in [identity for identity in self._line.lost if identity[0] is seat]:
                del self._line.lost[identity]
            gone = [identity for identity in self._line.open if identity[0] is seat]
            for post in {self._line.open.pop(identity) for identity in gone}:
                post.forgets.append(seat.course.origin.job_id)
                self._line.wake(post)

    def close(self) -> None:
        """Nothing more is handed out, and what has not begun will not."""
        with self._lock:
            self.closed = True
            for post in self._line.posts:
                if post.batch is not None:
                    self._line.put_back(post.batch.cut(post.batch.board.begun))
                self._line.wake(post)

    def take_all(self) -> list[Errand]:
        """What is left when all workers have ended."""
        with self._lock:
            rest = list(self._line.errands.values())
            for errand in rest:
                self._line.leave(errand)
            self._line.waiting.clear()
            return [errand for errand in rest if not errand.stopped]

    # --- the side of the workers' threads

    def hire(self, kill: Callable[[], None]) -> Post:
        """A place for another worker."""
        post = Post(len(self._line.posts), kill)
        self._line.posts.append(post)
        return post

    def dismiss(self, post: Post) -> None:
        """The place of a worker that could not be started is free again."""
        self._line.posts.remove(post)

    def fetch(self, post: Post, *, wait: bool) -> tuple[list[Errand], list[str]] | None:
        """What a worker is to do next, and the jobs whose generators it is to close; `None` when all is over."""
        while True:
            with self._lock:
                if self.closed:
                    return None
                errands = self._line.picked(post)
                forgets, post.forgets = post.forgets, []
                if errands or forgets or not wait:
                    return errands, forgets
                post.idle = True
                self._line.idle.append(post)
            post.wake.acquire()

    def dispatch(self, post: Post, packed: Iterable[tuple[Errand, Packed]], board: Board) -> tuple[Batch, list[Packed]]:
        """What is still wanted, as a batch that is about to be sent, and what is to be sent of it."""
        with self._lock:
            wanted = [(errand, order) for errand, order in packed if not errand.stopped]
            batch = post.batch = Batch([errand for errand, _ in wanted], board, self.now())
            return batch, [order for _, order in wanted]

    def put_back(self, errands: Iterable[Errand]) -> None:
        """What was fetched and not sent waits again, before everything else."""
        with self._lock:
            self._line.put_back([errand for errand in errands if not errand.stopped])

    def ended(self, post: Post, errands: Iterable[Errand], runs: Iterable[tuple[int, bool]]) -> None:
        """Attempts have ended; `runs`: how long each value took, 0 if that is unknown, and whether there are more."""
        with self._lock:
            for errand, (run_ns, more) in zip(errands, runs, strict=True):
                self._line.leave(errand)
                pace = errand.pace
                if run_ns:
                    pace.measured(run_ns)
                    self.load.measured(pace.weight_ns)
                if more and not errand.stopped:
                    self._line.open[errand.identity] = post
                elif self._line.open:
                    self._line.open.pop(errand.identity, None)

    def finish(self, post: Post) -> None:
        """A worker is through with its message; what it left out waits again."""
        with self._lock:
            batch, post.batch = post.batch, None
            if batch is not None:
                self._line.put_back(batch.errands[batch.done :])

    def lose(self, post: Post, end: str) -> Errand | None:
        """A worker has died, `end` says of what: gives what it ran, if anybody wants it; the rest waits again."""
        with self._lock:
            batch, post.batch = post.batch, None
            running, begun = None, 0
            if batch is not None:
                begun = batch.board.begun
                if begun > batch.done:
                    running = batch.errands[batch.done]
                    self._line.leave(running)
                    self._line.open.pop(running.identity, None)
            for identity in [identity for identity, home in self._line.open.items() if home is post]:
                del self._line.open[identity]
                self._line.lost[identity] = end
            if batch is not None:
                self._line.put_back(batch.errands[max(begun, batch.done) :])
            self._line.put_back(post.pinned)
            post.pinned.clear()
            return None if running is None or running.stopped else running

    def share(self, post: Post) -> None:
        """A message takes longer than thought: if others are idle, they get what has not begun of it."""
        with self._lock:
            batch = post.batch
            if self._line.idle and batch is not None and batch.board.begun:
                self._line.put_back(batch.cut(batch.board.begun))
