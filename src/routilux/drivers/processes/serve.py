"""What a worker process does: reads orders, calls their handlers, and writes what came of them on the board."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypeAlias

from routilux.drivers.far import Answer, FarSide, Order, pack
from routilux.drivers.lesson import read_recipe
from routilux.drivers.processes.board import Board
from routilux.drivers.processes.segments import INLINE_BYTES, Folders, Segment, remove_folders, unpack
from routilux.facts import Emissions, frames_of
from routilux.guard import guarded

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Channel
else:
    Channel = Connection

HELLO = b"hello"
DONE = b"done"

PLAIN, REFERENCE = 0, 1
"""Of an outcome on the board: whether it is the pickle itself, or says in which segment that lies."""

Sent: TypeAlias = tuple[int, str, int, int, int, int, int | None, "bytes | Segment"]
"""An order on its way: key of the recipe, job, activation, attempt, values to skip, credit, room; what goes in."""

Message: TypeAlias = tuple[list[tuple[int, bytes]], list[str], list[Sent]]
"""Recipes by key, jobs that are over, orders."""


def serve(channel: int, lifeline: int, board: str, folders: Sequence[str], name: str) -> None:
    """Works until the channel is closed."""
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, lambda *_: None)  # ignored here, but not by programs that handlers start
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for inherited in (channel, lifeline):
            os.set_inheritable(inherited, False)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # a worker may be ended at any time
    paths = [Path(folder) for folder in folders]
    threading.Thread(target=_end_with_the_driver, args=(Channel(lifeline), paths), daemon=True).start()
    with Channel(channel) as connection:
        Server(connection, Board(Path(board)), Folders(paths, name)).run()


def _end_with_the_driver(lifeline: Connection, folders: Sequence[Path]) -> None:
    """Waits for the end of the driver's process, whatever this one is doing then."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        remove_folders(folders)
        os._exit(1)


class Server:
    """Runs the orders of one worker."""

    def __init__(self, connection: Connection, board: Board, folders: Folders) -> None:
        self._connection = connection
        self._board = board
        self._folders = folders
        self._far = FarSide(lambda: board.cancelled)
        self._lessons: dict[int, bytes] = {}
        self._large: set[int] = set()
        """The recipes whose last answer was large, so that the next is not pickled whole before it is laid aside."""
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=connection.close)  # a child must not hide that its parent has died

    def run(self) -> None:
        """Says hello, and then does what it is told."""
        self._connection.send_bytes(HELLO)
        while True:
            try:
                message: Message = pickle.loads(self._connection.recv_bytes())
            except EOFError:
                self._far.close()
                return
            lessons, forgotten, orders = message
            self._lessons.update(lessons)
            for job_id in forgotten:
                self._far.forget(job_id)
            self._run_all(orders)
            self._connection.send_bytes(DONE)

    def _run_all(self, orders: list[Sent]) -> None:
        board = self._board
        board.rewind()
        to_come = len(orders)
        for position, sent in enumerate(orders):
            if not board.begin(position):
                return
            to_come -= 1
            packed = self._perform(sent)
            if isinstance(packed, Segment):
                board.write(REFERENCE, pickle.dumps(packed))
            elif board.has_room(len(packed), to_come):
                board.write(PLAIN, packed)
            else:
                board.write(REFERENCE, pickle.dumps(self._folders.write(packed, ())))

    def _perform(self, sent: Sent) -> bytes | Segment:
        """Calls one handler; gives its answer pickled, or the segment where that lies."""
        key, job_id, number, attempt, skip, credit, room, inputs = sent
        known, broken = guarded(self._understood, key, inputs)
        if broken is not None:
            moment = perf_counter_ns()
            broken.add_note("In a worker process, before the call: when its handler and its inputs were unpickled.")
            failed = Answer(number, attempt, moment, moment, (), broken, frames_of(broken), False, None)
            return self._far.pack(Order(key, job_id, number, attempt, skip, (), None), failed, bare=True)
        order = Order(key, job_id, number, attempt, skip, known[0], known[1], credit, room)
        del known
        answer = self._far.run(order)
        sealed, broken = guarded(self._sealed, order, answer)
        if broken is None:
            found: bytes | Segment = sealed
            return found
        failed = answer._replace(emissions=(), error=broken, frames=(), more=False, state=None, statements=())
        return self._far.pack(order, failed, bare=True)

    def _sealed(self, order: Order, answer: Answer) -> bytes | Segment:
        """An answer as it goes to the board; raises where memory and disk are full."""
        aside: list[memoryview] = []
        stays = self._far.recipe(order.key).stays if answer.error is None else None
        if not (stays and order.key in self._large):
            packed = self._far.pack(order, answer, aside, bare=True)
            if not (stays and (aside or len(packed) > INLINE_BYTES)):
                return self._folders.lay(packed, aside)
            del packed
            self._large.add(order.key)
        emissions = self._laid_aside(answer.emissions, stays)
        if not any(type(value) is Segment for _, value in emissions):
            self._large.discard(order.key)
        return self._folders.lay(self._far.pack(order, answer._replace(emissions=emissions), aside, bare=True), aside)

    def _understood(self, key: int, inputs: bytes | Segment) -> Any:
        """Reads recipe and inputs, which runs code of the user."""
        if not self._far.knows(key):
            self._far.learn(key, read_recipe(self._lessons[key]))
        return unpack(inputs)

    def _laid_aside(self, emissions: Emissions, stays: frozenset[str]) -> Emissions:
        """The emissions with large values that nobody else reads replaced by where they lie."""
        kept = []
        for event, value in emissions:
            if event in stays:
                aside: list[memoryview] = []
                packed, broken = guarded(pack, value, aside)
                if broken is None and (aside or len(packed) > INLINE_BYTES):
                    value = self._folders.write(packed, aside)
            kept.append((event, value))
        return kept
