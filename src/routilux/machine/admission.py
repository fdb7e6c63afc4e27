"""Admission: which of what is ready may start, for all limits but the window.

It looks after the queues of each mode and the lanes of limited routines. What it lets start is the machine's to take,
and whoever has just taken something may have `more`; what it keeps back waits here and is offered again when something
was given back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from routilux.execution_mode import ExecutionMode
from routilux.machine.delivery import Activation, Queue
from routilux.machine.lanes import Lane
from routilux.machine.plan import Plan
from routilux.machine.timers import Alarm, Timers
from routilux.permits import Permits


class Admission:
    """What of one job is ready, in whatever mode, and what waits for a limit."""

    __slots__ = ("_mixed", "_queues", "_timers", "home", "kept", "lanes")

    def __init__(self, plan: Plan, queues: Mapping[ExecutionMode, Queue], timers: Timers, permits: Permits) -> None:
        self._timers = timers
        self.lanes = {routine_id: Lane(limit, needs, permits) for routine_id, (limit, needs) in plan.limits.items()}
        """By routine: the lanes of those that are limited."""
        self.look_after(queues, plan.mode)
        self.kept = False
        """Set when something ready turns out to have to wait: those asked in vain before may have something now."""

    def look_after(self, queues: Mapping[ExecutionMode, Queue], mode: ExecutionMode) -> None:
        """These are the queues from now on, of a job whose own mode this is."""
        self._queues = queues
        self._mixed = len(queues) > 1 or bool(self.lanes)
        self.home = queues[mode]
        """The queue of the job's own mode."""

    @property
    def pending(self) -> int:
        """How many activations are ready, in whatever mode, or wait for a limit."""
        if not self._mixed:
            return len(self.home.ready) + self.home.folded
        held = sum(len(lane.waiting) for lane in self.lanes.values())
        return held + sum(len(queue.ready) + queue.folded for queue in self._queues.values())

    def __bool__(self) -> bool:
        """Whether anything is ready, or waits only for somebody to ask or to give way."""
        if not self._mixed:
            return bool(self.home.ready or self.home.suspended)
        return any(self._queues.values()) or any(lane.waiting for lane in self.lanes.values())

    def more(self, running: dict[int, Activation], mode: ExecutionMode) -> Iterator[Activation]:
        """What `take` would give next in a mode, up to where more than its queue must be looked at; it runs then.

        Only for right after a `take` that gave something, in a job without a stream.
        """
        ready, suspended = self._queues[mode].ready, self._queues[mode].suspended
        while ready and ready[0][1].unhindered and not suspended:
            activation = ready.popleft()
            running[activation[0]] = activation
            yield activation

    def ask(self, suspended: list[tuple[int, Activation]], room: int, *, idle: bool) -> Activation | None:
        """Takes out the open generator to be asked for a value: the youngest, while less than `room` is pending.

        What waits for a limit until a generator ends must not hold that very one back. So it does not count what waits
        in its own lane; and where nothing of the job runs (`idle`) or could but for limits, it is not held back at all.
        """
        if self.pending < room:
            return heapq.heappop(suspended)[1]
        if not self.lanes or room <= 0:
            return None
        stuck = idle and not any(queue.ready for queue in self._queues.values())
        stuck = stuck and not any(lane.waiting and lane.timed for lane in self.lanes.values())
        for one in sorted(one for one in suspended if one[1][1].limited):
            if stuck or self.pending - len(self.lanes[one[1][1].routine_id].waiting) < room:
                suspended.remove(one)
                heapq.heapify(suspended)
                return one[1]
        return None

    def suspend(self, generator: Activation) -> None:
        """An open generator waits until somebody asks it for a value."""
        heapq.heappush(self._queues[generator[1].mode].suspended, (-generator[0], generator))

    def enter(self, activation: Activation, moment: int) -> bool:
        """Whether an activation of a limited routine may begin; else it waits in its lane."""
        lane = self.lanes[activation[1].routine_id]
        due = lane.enter(activation, moment)
        if due is None:
            self.offer(lane)
        elif due:
            self._timers.set(due, Alarm.LIMIT, lane)
        self.kept = self.kept or due is not None
        return due is None

    def leave(self, activation: Activation) -> None:
        """An attempt has ended: what it had of limits is for whoever waits. One that never began had nothing."""
        if not activation[1].limited:
            return
        lane = self.lanes[activation[1].routine_id]
        lane.leave(activation)
        self.offer(lane)

    def offer(self, lane: Lane) -> None:
        """Makes the first that waits in a lane ready, before all others, to try again."""
        activation = lane.offer()
        if activation is not None:
            self._queues[activation[1].mode].ready.appendleft(activation)

    def offer_all(self) -> None:
        """Something was given back that jobs share: who waits for it may try again."""
        for lane in self.lanes.values():
            if lane.blocked:
                self.offer(lane)

    def drop(self) -> None:
        """Forgets all that waits: the job is over."""
        for lane in self.lanes.values():
            lane.waiting.clear()
