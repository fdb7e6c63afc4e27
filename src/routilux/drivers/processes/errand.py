"""What the driver keeps of an attempt that it was given, and of a message that holds several."""

from __future__ import annotations

from typing import TypeAlias

from routilux.drivers.port import Seat
from routilux.drivers.processes.board import Board
from routilux.drivers.processes.pace import Pace
from routilux.machine.delivery import Activation

Identity: TypeAlias = tuple[Seat, int, int]
"""Job, activation, attempt."""


class Errand:
    """One attempt, or one pull of an open generator."""

    __slots__ = (
        "activation",
        "batch",
        "identity",
        "lost",
        "pace",
        "pickle_ns",
        "position",
        "seat",
        "size",
        "skip",
        "stopped",
        "weight_ns",
    )

    def __init__(self, seat: Seat, activation: Activation, skip: int, pace: Pace) -> None:
        self.seat = seat
        self.activation = activation
        self.skip = skip
        self.pace = pace
        self.identity: Identity = (seat, activation[0], activation[5])
        """What the driver knows it by."""
        self.weight_ns = pace.weight_ns
        self.lost: str | None = None
        """What ended the worker of the generator that was to be asked, which may not run again."""
        self.batch: Batch | None = None
        self.position = 0
        self.stopped = False
        """Whether its worker was ended because of it, so that nobody is told of it any more."""
        self.size: int | None = None
        """Of a recorded job: how many bytes its arguments took."""
        self.pickle_ns: int | None = None
        """The same: how long it took to pickle them, and about as long to read them."""


class Batch:
    """The errands of one message to a worker, in the order in which they are run."""

    __slots__ = ("board", "done", "errands", "sent")

    def __init__(self, errands: list[Errand], board: Board, sent: int) -> None:
        self.errands = errands
        self.board = board
        self.sent = sent
        self.done = 0
        """How many outcomes have been read."""
        for position, errand in enumerate(errands):
            errand.batch = self
            errand.position = position
        board.prepare(len(errands))

    def cut(self, position: int) -> list[Errand]:
        """Takes out what stands from `position` on, if none of it has begun."""
        if position >= len(self.errands) or not self.board.cut(position):
            return []
        rest = self.errands[position:]
        del self.errands[position:]
        for errand in rest:
            errand.batch = None
        return rest
