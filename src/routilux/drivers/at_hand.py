"""What stands between two handlers of a job: what a runner needs of its machine, looked up once for all runners."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from routilux.course import Course
from routilux.facts import Record
from routilux.machine.delivery import Activation, Delivery
from routilux.machine.machine import Machine


class AtHand(NamedTuple):
    """Of one job; none of it is exchanged while the job lives on an engine."""

    machine: Machine
    running: dict[int, Activation]
    ready: deque[Activation]
    timers: list[Any]
    suspended: list[tuple[int, Activation]]
    records: list[Record]
    delivery: Delivery
    job_id: str
    limit: int
    """The most activations that the job may have."""


def at_hand(course: Course) -> AtHand:
    """Looks it up."""
    machine, delivery = course.machine, course.machine.delivery
    return AtHand(
        machine=machine,
        running=machine.running,
        ready=machine.ready,
        timers=machine.timers.heap,
        suspended=machine.suspended,
        records=machine.ledger.records,
        delivery=delivery,
        job_id=course.origin.job_id,
        limit=delivery.max_activations,
    )
