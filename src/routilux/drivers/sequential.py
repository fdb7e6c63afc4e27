"""Sequential mode: one handler after another, in the thread that calls `run`.

First emitted, first fired: the same flow and params give the same job, record by record.
"""

from __future__ import annotations

import queue
import threading
from heapq import heappop
from types import CoroutineType, GeneratorType

from routilux.course import BATCH, Course
from routilux.drivers.invoke import Invoker
from routilux.facts import Fact, Settled
from routilux.machine.delivery import Activation
from routilux.machine.machine import PLAINLY
from routilux.machine.ringing import ring
from routilux.machine.step import apply
from routilux.ports import Clock


class SequentialDriver:
    """Runs one job."""

    def __init__(self, course: Course, invoker: Invoker, clock: Clock) -> None:
        self._course = course
        self._machine = course.machine
        self._invoker = invoker
        self._clock = clock
        self._inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self._posted: list[None] = []
        """Not empty when there is something in the inbox; to look at it costs a tenth of asking the queue."""
        self.burst = BATCH
        """How many activations may follow one on the other before anything else is looked at."""
        self.leaves = False
        """Whether somebody else is to go on with the job."""

    def post(self, fact: Fact) -> None:
        """Tells the job something, from any thread; it is heeded between two handlers."""
        self._inbox.put(fact)
        self._posted.append(None)

    def heed(self, fact: Fact) -> None:
        """Steps the machine by what happened."""
        apply(self._machine, fact)

    def ring(self, moment: int) -> None:
        """The moment has come for which the machine wanted to be woken."""
        ring(self._machine, moment)

    def rest(self) -> None:
        """Nothing can run until something happens."""
        self._course.read()

    def take_posted(self) -> list[Fact]:
        """What the job was told and has not heeded, for whoever goes on with it."""
        told = []
        while not self._inbox.empty():
            told.append(self._inbox.get())
        return told

    def run(self) -> None:
        """Runs the job to its end, or until it `leaves`, or, if it is streaming, until something has left the flow."""
        machine, clock, inbox = self._machine, self._clock, self._inbox
        self._course.thread = threading.get_ident()
        while not (machine.done or self.leaves):
            self._burst()
            self._posted.clear()
            while not inbox.empty():
                self.heed(inbox.get())
            due = machine.timers.next_due
            if due is not None and due <= clock.now():
                self.ring(clock.now())
            activation = machine.take(clock.now())
            if activation is not None:
                self._perform(activation)
            elif machine.streaming and machine.delivery.left:
                return
            elif not machine.done:
                self.rest()
                fact = clock.wait(inbox, machine.timers.next_due, idle=not machine.paused)
                if fact is not None:
                    self.heed(fact)
            if len(machine.ledger.records) >= BATCH:
                self._course.read()

    def _burst(self) -> None:
        """Plain activations one after another, as long as nothing else asks for attention.

        The hot path: what it does for one activation is all that stands between two handlers. So it has
        `Machine.settled` written out for the value that is handed to one successor: the call costs a tenth of all.
        """
        machine = self._machine
        if machine.paused or machine.end is not None or machine.streaming:
            return
        ready, settled, yielded, failed = machine.ready, machine.settled, machine.yielded, machine.failed
        popleft, posted, now, timers = ready.popleft, self._posted, self._clock.now, machine.timers.heap
        delivery, make_ready, record = machine.delivery, ready.append, machine.ledger.records.append
        job_id, limit = self._course.origin.job_id, delivery.max_activations
        suspended, pulls = machine.suspended, self._invoker.pulls
        if machine.admission.lanes:
            pulls = {}  # what waits in lanes holds generators back, which only `take` sees
        ended = now()
        for _ in range(self.burst):
            if posted or (timers and timers[0][0] <= ended):
                break
            if ready:
                activation = popleft()
                number, station, arguments, cause, fired, attempt, _ = activation
                if not station.plain:
                    ready.appendleft(activation)
                    break
                began = now()
                try:
                    value = station.call(*arguments)
                except Exception as error:
                    ended = now()
                    failed(activation, error, began, ended)
                except BaseException as error:
                    self._broken_off(activation, error, began)
                else:
                    ended = now()
                    kind, last = type(value), delivery.fired
                    successor = station.successor if value is not None else None
                    if successor is None or kind is GeneratorType or kind is CoroutineType or last >= limit:
                        settled(activation, value, began, ended)
                        continue
                    delivery.fired = follower = last + 1
                    make_ready((follower, successor, (value,), number, ended, 1, None))
                    record((job_id, number, station.routine_id, attempt, PLAINLY, cause, fired, began, ended, 0, None))
            elif suspended and suspended[0][1][0] in pulls:
                activation = heappop(suspended)[1]
                began = now()
                try:
                    value = next(pulls[activation[0]])
                except BaseException as error:
                    self._exhausted(activation, error, began)
                else:
                    ended = now()
                    yielded(activation, value, began, ended)
            else:
                break

    def _exhausted(self, activation: Activation, error: BaseException, began: int) -> None:
        """A generator has come to its end, or raised."""
        self._invoker.forget(activation)
        ended = self._clock.now()
        if isinstance(error, StopIteration):
            self._machine.emitted(activation, (), began, ended)
        elif isinstance(error, Exception):
            self._machine.failed(activation, error, began, ended)
        else:
            self._broken_off(activation, error, began)

    def _perform(self, activation: Activation) -> None:
        machine, clock = self._machine, self._clock
        began = clock.now()
        emissions, error, more, measured, _ = self._invoker(activation, machine.fan_outs.yields_of(activation[0]))
        ended = clock.now()
        machine.answered(activation[0], activation[5])
        if measured is not None:
            machine.ledger.measure(Settled(activation[0], activation[5], began, ended), measured)
        if error is None:
            machine.emitted(activation, emissions, began, ended, more=more)
        elif isinstance(error, Exception):
            machine.failed(activation, error, began, ended)
        else:
            self._broken_off(activation, error, began)

    def _broken_off(self, activation: Activation, error: BaseException, began: int) -> None:
        """A handler was interrupted, or wants the program to end: the job ends, and the caller is told."""
        if isinstance(error, KeyboardInterrupt):
            self._machine.cancel("interrupted")
            self._machine.ledger.discard(activation, None, began, self._clock.now(), 0)
            raise error
        self._machine.failed(activation, error, began, self._clock.now())
