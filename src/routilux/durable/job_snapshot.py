"""What the facts of a job come to: its machine, and what else is folded from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from routilux.facts import Origin, Record
from routilux.machine.snapshot import Snapshot, Standing
from routilux.tracking.counts import Counts


class JobSnapshot(NamedTuple):
    """All that is known of a job at one moment."""

    machine: Snapshot
    moment: int
    epoch_offset_ns: int
    """What to add to its moments to get nanoseconds since the epoch."""
    started_at: int
    openings: Sequence[int]
    """When other processes took it upon themselves, in nanoseconds since the epoch."""
    begun: Mapping[int, int]
    """By activation: the attempts of which it was written down that they begin, and that are not over."""
    lost: Mapping[str, int]
    """By routine: how many of its attempts died with a process or worker."""
    history: Sequence[Record]
    counts: Mapping[str, Counts]
    states: Mapping[str, Any]
    """By routine: what it keeps; to be written, as it was written with its last outcome."""

    def of(self, origin: Origin) -> JobSnapshot:
        """The same in moments of the clock of `origin`, with records of its job."""
        by, machine = self.epoch_offset_ns - origin.epoch_offset_ns, self.machine
        moved = machine._replace(
            standing=[_later(one, by) for one in machine.standing],
            retries=[(due + by, _later(one, by)) for due, one in machine.retries],
            batches=[(due + by, station) for due, station in machine.batches],
            due=None if machine.due is None else machine.due + by,
        )
        return self._replace(
            machine=moved,
            moment=self.moment + by,
            epoch_offset_ns=origin.epoch_offset_ns,
            started_at=self.started_at + by,
            history=[_moved(one, origin.job_id, by) for one in self.history],
        )


def _later(standing: Standing, by: int) -> Standing:
    return standing._replace(fired=standing.fired + by)


def _moved(record: Record, job_id: str, by: int) -> Record:
    _, number, routine_id, attempt, status, cause, fired, begun, ended, worker, failure = record
    return job_id, number, routine_id, attempt, status, cause, fired + by, begun + by, ended + by, worker, failure
