"""Traces whose answers are known in closed form."""

from __future__ import annotations

from itertools import pairwise

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.trace import Attempt, Host, Observed, Trace

MS = 1_000_000


class Tale:
    """Tells a job attempt by attempt, as if it had run in sequence; times are milliseconds."""

    def __init__(self):
        self.attempts = []
        self.moment = 0
        self.observed = {}

    def tell(self, number, routine_id, causes=(), *, cpu=0.0, wait=0.0, fired=None, attempt=1, status="completed"):
        """One attempt that begins when the last one has ended, and was fired by the end of its last cause."""
        ends = [one.ended for one in self.attempts if one.activation_id in causes]
        fired = max(ends, default=0) if fired is None else int(fired * MS)
        begun = max(self.moment, fired)
        self.moment = begun + round((cpu + wait) * MS)
        how = ActivationStatus(status)
        self.attempts.append(
            Attempt(number, routine_id, attempt, how, tuple(causes), fired, begun, self.moment, 0, round(cpu * MS))
        )
        return self

    def sees(self, routine_id, **observed):
        """What was observed of a routine."""
        self.observed[routine_id] = Observed(**observed)
        return self

    def trace(self, *, cores=2, gil=True, **fields):
        """The job as a trace."""
        known = {"flow_id": "flow", "mode": ExecutionMode.SEQUENTIAL, "workers": 1, "start": 0, "end": self.moment}
        host = Host(cores, "3.11", "linux", gil)
        fields = {**known, "host": host, "routines": self.observed, **fields}
        return Trace(attempts=tuple(sorted(self.attempts, key=lambda one: one.begun)), **fields)


def fan(count, *, cpu=0.0, wait=0.0, gil_share=1.0, **fields):
    """One activation that takes no time, and so many that it fires."""
    tale = Tale().tell(1, "source").sees("leaf", gil_share=gil_share)
    for number in range(2, count + 2):
        tale.tell(number, "leaf", [1], cpu=cpu, wait=wait)
    return tale.trace(**fields)


def chain(count, *, cpu=0.0, wait=0.0, **fields):
    """So many activations, each of which fires the next."""
    tale = Tale().tell(1, "step", cpu=cpu, wait=wait)
    for before, number in pairwise(range(1, count + 1)):
        tale.tell(number, "step", [before], cpu=cpu, wait=wait)
    return tale.trace(**fields)
