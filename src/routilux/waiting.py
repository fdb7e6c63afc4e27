"""What does not run, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from routilux.execution_mode import ExecutionMode
from routilux.firing import Batch, Collect
from routilux.machine.folded import page_of
from routilux.machine.gates import Gate
from routilux.machine.machine import Machine
from routilux.machine.stranded import missing_partners


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something of one routine that waits for one reason."""

    routine_id: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.routine_id}: {self.why}" + (f" ({self.count} of them)" if self.count > 1 else "")


def waiting(machine: Machine, moment: int, workers: Callable[[ExecutionMode], int]) -> list[Waiting]:
    """A snapshot, which may be taken by any thread while another steps the machine."""
    if machine.done or machine.end is not None:
        return []
    found = []
    ready: Counter[str] = Counter()
    for mode, queue in machine.queues.items():
        here: Counter[str] = Counter()
        for activation in list(queue.ready):
            here[activation[1].routine_id] += page_of(activation).count if activation[1].folded else 1
        ready += here
        found += [Waiting(one, _why_ready_waits(machine, one, workers(mode)), count) for one, count in here.items()]
    for routine_id, lane in machine.admission.lanes.items():
        if lane.waiting:
            ready[routine_id] += len(lane.waiting)
            found.append(Waiting(routine_id, lane.reason(), len(lane.waiting)))
    for queue in machine.queues.values():
        for _, activation in list(queue.suspended):
            why = "the job is paused" if machine.paused else _why_held_back(machine, ready)
            found.append(Waiting(activation[1].routine_id, why))
    for due, activation in machine.timers.pending_retries():
        seconds = max(0, due - moment) / 1e9
        found.append(Waiting(activation[1].routine_id, f"attempt {activation[5]} is due in {seconds:.1f} s"))
    for gate in machine.delivery.gates:
        count = sum(gate.parked().values())
        if count:
            found.append(Waiting(gate.station.routine_id, _why_gate_waits(machine, gate), count))
    return found


def _why_ready_waits(machine: Machine, routine_id: str, workers: int) -> str:
    lane = machine.admission.lanes.get(routine_id)
    if machine.paused:
        return "the job is paused"
    if lane is not None and lane.is_full:
        return lane.reason()
    if machine.streaming and len(machine.delivery.left) >= machine.window:
        return "held back by the reader of the stream"
    if workers == 0:
        return "the job's turn has not come: as many recovered jobs run as may at once"
    return "no free worker" if workers == 1 else f"no free worker: all {workers} are busy"


def _why_held_back(machine: Machine, ready: Counter[str]) -> str:
    unread = len(machine.delivery.left)
    if machine.streaming and unread:
        return f"held back by the reader of the stream, who has {unread} to read"
    if ready:
        return f"held back by {ready.most_common(1)[0][0]!r}, which has enough to do"
    return "no free worker"


def _why_gate_waits(machine: Machine, gate: Gate) -> str:
    match gate.station.rule:
        case Batch(size=size):
            return f"batch: has {max(gate.parked().values())} of {size}"
        case Collect():
            return "collect: waits until nothing else can run"
    return f"waits for {missing_partners(machine.plan, gate)}"
