"""Rehoming: a job of which nothing runs goes on by another plan of the same flow and entry, in other modes.

Whatever waits is the same as before, at the station that stands in place of the one where it waited.
"""

from __future__ import annotations

import heapq
from collections import deque

from routilux.machine.delivery import Activation, Queue
from routilux.machine.machine import Machine
from routilux.machine.plan import Plan
from routilux.machine.timers import Alarm


def rehome(machine: Machine, plan: Plan) -> None:
    """Has the job go on by `plan`, whose stations are those of its own plan, but for their modes."""
    before, delivery = machine.queues, machine.delivery
    queues = {mode: Queue() for mode in plan.modes}
    for queue in before.values():
        for activation in queue.ready:
            moved = _moved(activation, plan)
            queues[moved[1].mode].ready.append(moved)
        for rank, activation in queue.suspended:
            moved = _moved(activation, plan)
            heapq.heappush(queues[moved[1].mode].suspended, (rank, moved))
    for gate in delivery.gates:
        gate.station = plan.stations[gate.station.index]
    for lane in machine.admission.lanes.values():
        lane.waiting = deque(_moved(one, plan) for one in lane.waiting)
        offered = lane.offered and lane.offered[0]
        lane.offered = next((one for queue in queues.values() for one in queue.ready if one[0] == offered), None)
    heap = machine.timers.heap
    heap[:] = [(*one[:3], _moved(one[3], plan)) if one[2] is Alarm.RETRY else one for one in heap]
    machine.plan = delivery.plan = plan
    machine.queues = delivery.queues = queues
    machine.admission.look_after(queues, plan.mode)
    machine.ready = delivery.ready = queues[plan.mode].ready
    machine.suspended = queues[plan.mode].suspended
    machine.make_ready = machine.ready.append


def _moved(activation: Activation, plan: Plan) -> Activation:
    return *activation[:1], plan.stations[activation[1].index], *activation[2:]
