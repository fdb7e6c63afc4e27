"""One worker: a thread here that looks after one process there.

The thread fetches attempts when its process has nothing to do, pickles and sends them, waits, and settles what stands
on the board. Before it settles, it sends the next ones, so that the process works meanwhile. When the process dies, it
is replaced, and the desk is told what it was running.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from routilux.drivers.far import Answer, pack, unsendable
from routilux.drivers.lesson import pack_recipe
from routilux.drivers.port import Host
from routilux.drivers.processes.board import Board, make_board
from routilux.drivers.processes.desk import Desk
from routilux.drivers.processes.errand import Batch, Errand
from routilux.drivers.processes.segments import Folders, Segment, read, remove
from routilux.drivers.processes.serve import HELLO, PLAIN, Message, Sent
from routilux.drivers.processes.spawn import Spawned, spawn, why_none_starts
from routilux.errors import UnsendableError, WorkerLostError
from routilux.facts import Measured, Settled
from routilux.guard import guarded, text_of

LOOK_SECONDS = 0.005
"""After so long, and then twice as long each time, one looks what a message of several attempts has come to."""

TRIES = 3
"""So many processes in a row may die before they have said hello."""

MESSAGE_BYTES = 8 * 1024 * 1024
"""So much in one message, or in the segments that it names, and no more is added to it."""


class Worker(threading.Thread):
    """Of one driver; a daemon, because a handler that hangs must not keep the program from ending."""

    def __init__(self, host: Host, desk: Desk, folders: Sequence[Path], offset_ns: int, name: str) -> None:
        """`offset_ns`: what the driver's clock shows more than a worker's."""
        self.post = desk.hire(self._kill)
        super().__init__(name=f"{name}-{self.post.number}", daemon=True)
        self._host = host
        self._desk = desk
        self._paths = folders
        self._folders = Folders(folders, f"to-{self.post.number}")
        self._offset_ns = offset_ns
        self._spawned: Spawned | None = None
        self._births = 0
        self._failed = 0
        self._taught: set[int] = set()
        self._outcomes: list[tuple[Errand, Settled]] = []
        """What has been read, and not been settled yet."""
        self._has_room = False
        """Whether an attempt may have ended without being settled, which the host does not know."""
        self._segments: list[Segment] = []
        """Those of the arguments that were sent."""

    def run(self) -> None:
        """Looks after the process until the driver is closed."""
        while not self._desk.closed:
            self._serve_once(self._see_to_process())
        self._settle()
        if self._spawned is not None:
            self._spawned.farewell()
            self._clear_up()

    def _serve_once(self, trouble: Exception | None) -> None:
        """One message there and back. A method of its own, or an idle thread would keep the last one alive."""
        fetched = self._desk.fetch(self.post, wait=not (self._outcomes or self._has_room))
        if fetched is None:
            return
        errands, forgets = fetched
        if trouble is not None:
            self._refuse(errands, trouble)
        batch = self._send(errands, forgets) if trouble is None and (errands or forgets) else None
        self._settle()
        if batch is not None:
            self._follow(batch)

    def _kill(self) -> None:
        """Ends the process, from any thread; this one notices."""
        spawned = self._spawned
        if spawned is not None:
            spawned.process.kill()

    # --- the process

    def _see_to_process(self) -> Exception | None:
        """Has a process that works, unless too many have failed; then says why."""
        while self._spawned is None and not self._desk.closed:
            trouble = self._start()
            if trouble is not None:
                self._failed += 1
                if self._failed >= TRIES:
                    return trouble
        return None

    def _start(self) -> Exception | None:
        self._births += 1
        name = f"from-{self.post.number}-{self._births}"
        try:
            path = make_board(self._paths, name)
            spawned = spawn(path, self._paths, name)
        except OSError as error:
            return WorkerLostError(f"No worker process can be started: {error}.")
        if not _said(spawned, HELLO):
            end = spawned.farewell()
            remove(path)
            reason = why_none_starts() if self._failed + 1 >= TRIES else ""
            return WorkerLostError(
                f"Worker processes do not start: the last of {self._failed + 1} {end} before it could be used. "
                f"{reason or 'A new interpreter by itself starts; are memory or processes limited?'}"
            )
        self._board = Board(path)
        remove(path)
        self._failed = 0
        self._taught.clear()
        self._spawned = spawned
        return None

    # --- sending

    def _send(self, errands: list[Errand], forgets: list[str]) -> Batch | None:
        """Sends what can be sent; `None` if that is nothing, or there is no process any more."""
        assert self._spawned is not None
        packed: list[tuple[Errand, Sent]] = []
        lessons: dict[int, bytes] = {}
        size = 0
        for position, errand in enumerate(errands):
            if size > MESSAGE_BYTES:
                self._desk.put_back(errands[position:])
                break
            order, error = guarded(self._order, errand, lessons)
            if error is None:
                packed.append((errand, order))
                size += _size(order[-1])
                continue
            if not isinstance(error, (UnsendableError, WorkerLostError)):
                error = _unsendable_inputs(errand, error)
            self._refuse([errand], error)
        if not (packed or forgets):
            return None
        batch, orders = self._desk.dispatch(self.post, packed, self._board)
        message: Message = list(lessons.items()), forgets, orders
        try:
            self._spawned.channel.send_bytes(pickle.dumps(message, 5))
        except OSError:
            self._bury()
            return None
        self._taught.update(lessons)
        return batch

    def _order(self, errand: Errand, lessons: dict[int, bytes]) -> Sent:
        """An errand as it is sent, with what the worker must be taught before."""
        if errand.lost is not None:
            raise _lost(errand, f"{errand.lost} while it had open the generator of activation")
        pace, seat = errand.pace, errand.seat
        station = pace.station
        number, _, arguments, _, _, attempt, _ = errand.activation
        if pace.key not in self._taught and pace.key not in lessons:
            lessons[pace.key] = _lesson(errand)
        state = seat.course.states.setdefault(station.routine_id, {}) if station.keeps_state else None
        before = perf_counter_ns() if station.recorded else 0
        inputs = self._folders.put((arguments, state))
        if station.recorded:
            errand.size, errand.pickle_ns = _size(inputs), 2 * (perf_counter_ns() - before)
        if isinstance(inputs, Segment):
            self._segments.append(inputs)
        settings, credit = seat.course.machine.settings, 1
        if station.is_generator:
            credit = min(pace.credit, settings.max_pending or self._desk.load.window)
        return pace.key, seat.course.origin.job_id, number, attempt, errand.skip, credit, settings.room, inputs

    def _refuse(self, errands: Iterable[Errand], error: BaseException) -> None:
        """Attempts that cannot be sent fail."""
        for errand in errands:
            moment = self._desk.now()
            number, attempt = errand.activation[0], errand.activation[5]
            self._desk.ended(self.post, [errand], [(0, False)])
            if not errand.stopped:
                self._outcomes.append((errand, Settled(number, attempt, moment, moment, self.post.number, (), error)))

    # --- what comes back

    def _follow(self, batch: Batch) -> None:
        """Waits until the process is through with its message, or dead; settles early what comes early."""
        assert self._spawned is not None
        spawned, patience = self._spawned, LOOK_SECONDS
        try:
            while len(batch.errands) > 1 and not spawned.answers_within(patience):
                patience *= 2
                self._read(batch)
                self._desk.share(self.post)
                self._settle()
            spawned.channel.recv_bytes()
        except (EOFError, OSError):
            self._bury()
            return
        self._read(batch)
        self._desk.finish(self.post)
        self._drop_segments()

    def _read(self, batch: Batch) -> None:
        """Takes the outcomes that have come from the board."""
        found = self._board.read()
        if not found:
            return
        errands = batch.errands[batch.done : batch.done + len(found)]
        batch.done += len(found)
        answers = [self._answer(errand, kind, packed) for errand, (kind, packed) in zip(errands, found, strict=True)]
        runs = [((ended - began) // asked, more) for _, _, began, ended, *_, more, _, asked, _, _ in answers]
        self._desk.ended(self.post, errands, runs)
        for errand, answer in zip(errands, answers, strict=True):
            if errand.stopped:
                self._has_room = True
            else:
                self._outcomes.append((errand, self._settled(errand, answer)))

    def _answer(self, errand: Errand, kind: int, packed: bytes) -> tuple[Any, ...]:
        """The fields of an answer that stands on the board; one that cannot be read is an error of its own."""
        fields, broken = guarded(pickle.loads if kind == PLAIN else _opened, packed)
        if broken is None:
            found: tuple[Any, ...] = fields
            return found
        number, attempt = errand.activation[0], errand.activation[5]
        error = UnsendableError(
            f"Flow {errand.seat.course.origin.flow_id!r}, routine {errand.pace.station.routine_id!r}: what it emitted "
            f"was pickled in the worker and cannot be read back: {type(broken).__name__}: {text_of(broken)}. "
            "Emit plain data instead, or mend the __reduce__ or __setstate__ of its class."
        )
        moment = self._desk.now() - self._offset_ns
        return Answer(number, attempt, moment, moment, (), error, (), False, None)

    def _settled(self, errand: Errand, answer: tuple[Any, ...]) -> Settled:
        """The fact that the fields of an answer tell."""
        number, attempt, began, ended, emissions, error, frames, more, state, asked, cpu_ns, written = answer
        station = errand.pace.station
        if state is not None:
            errand.seat.course.states[station.routine_id] = state
        if station.stays:
            emissions = [
                (event, self._folders.keep(value) if type(value) is Segment else value) for event, value in emissions
            ]
        began, ended = began + self._offset_ns, ended + self._offset_ns
        settled = Settled(number, attempt, began, ended, self.post.number, emissions, error, more, frames, asked)
        if written:
            settled = settled._replace(statements=written)
        return settled if cpu_ns is None else settled._replace(measured=Measured(cpu_ns, errand.size, errand.pickle_ns))

    def _settle(self) -> None:
        """Tells the host what has been read."""
        outcomes, self._outcomes = self._outcomes, []
        for seat, group in groupby(outcomes, key=lambda outcome: outcome[0].seat):
            self._host.settle(seat, [settled for _, settled in group])
        if self._has_room:
            self._has_room = False
            self._host.look_again()

    def _bury(self) -> None:
        """The process is dead: its outcomes count, what it was running is lost, and the rest waits again."""
        assert self._spawned is not None
        end = f"worker {self._spawned.process.pid} {self._spawned.farewell()}"
        if self.post.batch is not None:
            self._read(self.post.batch)
        errand = self._desk.lose(self.post, end)
        if errand is not None:
            error = _lost(errand, f"{end} while it ran activation")
            number, attempt, moment = errand.activation[0], errand.activation[5], self._desk.now()
            settled = Settled(number, attempt, moment, moment, self.post.number, (), error)
            self._outcomes.append((errand, settled))
        self._drop_segments()
        self._clear_up()
        self._settle()
        self._has_room = True

    def _clear_up(self) -> None:
        """Nothing is left of a process that has ended."""
        self._spawned = None
        self._board.close()
        Folders(self._paths, f"from-{self.post.number}-{self._births}").sweep()

    def _drop_segments(self) -> None:
        for segment in self._segments:
            remove(segment.path)
        self._segments.clear()


def _lesson(errand: Errand) -> bytes:
    """The recipe of an errand's station, pickled when it is first needed."""
    pace, flow_id = errand.pace, errand.seat.course.origin.flow_id
    if pace.lesson is None and pace.unsendable is None:
        try:
            pace.lesson = pack_recipe(flow_id, pace.station)
        except UnsendableError as error:
            pace.unsendable = str(error)
    if pace.lesson is None:
        raise UnsendableError(pace.unsendable)
    return pace.lesson


def _unsendable_inputs(errand: Errand, broken: Exception) -> Exception:
    """The error for inputs that cannot be pickled, or what kept them from being written."""
    if isinstance(broken, OSError):
        return broken
    station, course = errand.pace.station, errand.seat.course
    flow_id, state = course.origin.flow_id, course.states.get(errand.pace.station.routine_id)
    for name, value in zip(station.names, errand.activation[2], strict=True):
        failed = guarded(pack, value)[1]
        if failed is not None:
            return unsendable(flow_id, station.routine_id, f"its input {name!r}", value, failed)
    return unsendable(flow_id, station.routine_id, "its state", state, broken)


def _lost(errand: Errand, end: str) -> WorkerLostError:
    """The error for what a dead process was running, or for a generator that was open in it and may run only once."""
    return WorkerLostError(
        f"Flow {errand.seat.course.origin.flow_id!r}, routine {errand.pace.station.routine_id!r}: {end} "
        f"{errand.activation[0]}. If the machine is out of memory, use fewer workers or "
        "smaller items; where native code crashes, `python -X faulthandler` shows the place."
    )


def _said(spawned: Spawned, word: bytes) -> bool:
    """Waits for a word of the process; gives whether it came, rather than the process's end."""
    try:
        return bytes(spawned.channel.recv_bytes()) == word
    except (EOFError, OSError):
        return False


def _opened(reference: bytes) -> Any:
    """The fields of an answer that lies in a segment."""
    segment = pickle.loads(reference)
    try:
        return read(segment)
    finally:
        remove(segment.path)


def _size(inputs: bytes | Segment) -> int:
    return len(inputs) if isinstance(inputs, bytes) else sum(length for _, length in inputs.spans)
