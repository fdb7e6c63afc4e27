"""The thread that waits for moments, for an engine."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable

from routilux.drivers.port import Seat
from routilux.ports import Alarms, Clock


class Attendant(Alarms[Seat]):
    """Rings for jobs when their moments have come, and closes the engine of a job that nobody waits for.

    Its thread starts when it is first needed. It is a daemon like the workers, unless the program is not to end
    before such a job.
    """

    def __init__(
        self, ring: Callable[[list[Seat]], None], close_engine: Callable[[], None], clock: Clock, name: str
    ) -> None:
        self._ring = ring
        self._close_engine = close_engine
        self._clock = clock
        self._name = name
        self._inbox: queue.SimpleQueue[tuple[int, Seat] | Seat | bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last: Seat | None = None

    def wake_at(self, due: int, sleeper: Seat) -> None:
        self._needed(daemon=True)
        self._inbox.put((due, sleeper))

    def close_after(self, seat: Seat, *, keep_program: bool) -> None:
        """Closes the engine when this job is over, or at once if it is."""
        self._last = seat
        self._needed(daemon=not keep_program)
        if seat.told:
            self._inbox.put(seat)

    def finished(self, sleeper: Seat) -> None:
        if self._thread is not None and (sleeper is self._last or sleeper.alarm is not None):
            self._inbox.put(sleeper)

    def close(self) -> None:
        self._inbox.put(False)
        self.join()

    def join(self) -> None:
        """Waits for the thread's end."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _needed(self, *, daemon: bool) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._attend, name=self._name, daemon=daemon)
            self._thread.start()

    def _attend(self) -> None:
        alarms: list[tuple[int, int, Seat]] = []
        arrived = 0
        while True:
            message = self._clock.wait(self._inbox, alarms[0][0] if alarms else None, idle=False)
            if isinstance(message, tuple):
                arrived += 1
                heapq.heappush(alarms, (message[0], arrived, message[1]))
            elif message is False:
                return
            elif isinstance(message, Seat):
                if message is self._last:
                    self._close_engine()
                    return
                alarms = [alarm for alarm in alarms if alarm[2] is not message]
                heapq.heapify(alarms)
            else:
                moment = self._clock.now()
                due = []
                while alarms and alarms[0][0] <= moment:
                    due.append(heapq.heappop(alarms)[2])
                self._ring(due)
