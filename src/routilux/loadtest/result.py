"""The result of a load test, and what is concluded from it."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from routilux.loadtest.capacity import Ceiling, Layout, Profile, Reason
from routilux.loadtest.growth import Growth
from routilux.loadtest.latencies import percentile_table
from routilux.loadtest.objective import Objective
from routilux.loadtest.options import Options
from routilux.loadtest.outcome import Outcome
from routilux.loadtest.report import report_lines
from routilux.loadtest.search import HELD, Phase
from routilux.loadtest.step import Shortfall, Step


class Exit(enum.IntEnum):
    """What a load test comes to, as the exit code of a command."""

    GOOD = 0
    MISSED = 1
    """An objective was missed, the rate that was asked for was not sustained, or something grows."""
    UNSURE = 3
    """Nothing can be concluded."""


class Judgement(enum.StrEnum):
    """How an objective came out."""

    MET = enum.auto()
    MISSED = enum.auto()
    UNKNOWN = enum.auto()
    """Too few jobs were over to tell."""


@dataclass(frozen=True, slots=True)
class Knee:
    """Where a system stops to keep up."""

    sustained: float | None
    """The highest rate tried that was sustained; `None`: none was."""
    broken: float | None
    """The lowest that was not; `None`: all were."""
    capacity: float | None = None
    """The most jobs a second that were completed where more came."""

    @property
    def rate(self) -> float:
        """The best estimate of the knee: what was completed, where that lies between the two rates."""
        low, high = self.sustained or 0.0, self.broken
        if self.capacity is None or high is None or self.sustained is None:
            return low
        return min(max(low, self.capacity), high)


@dataclass(frozen=True, slots=True)
class Soak:
    """How a system held out."""

    windows: tuple[Step, ...]
    growths: Mapping[str, Growth]
    """By name: how what the process holds has moved."""
    allocations: tuple[tuple[str, int], ...] = ()
    """The source lines that hold most bytes more than a third of the time before, where they are counted."""

    @property
    def growing(self) -> tuple[str, ...]:
        """The names of what grows."""
        return tuple(name for name, growth in self.growths.items() if growth.growing)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTest(Outcome):
    """All that a load test has measured."""

    options: Options
    layout: Layout
    profile: Profile
    """What one job takes alone."""
    steady: bool
    """Whether the warm-up came to rest."""
    ceilings: tuple[Ceiling, ...]
    """The bounds that follow from that, the lowest first: the predicted knee."""
    useful_workers: int | None
    steps: tuple[Step, ...]
    knee: Knee | None
    """`None` where certain rates or users were asked for."""
    reason: Reason | None
    """Why the lowest rate that was not sustained was not."""
    soak: Soak | None = None
    latencies: Sequence[float] = field(default=(), repr=False)
    """Seconds, of each job while the last rate was held."""

    @property
    def rate(self) -> float | None:
        return None if self.knee is None or self.knee.sustained is None else self.knee.rate

    @property
    def why(self) -> str | None:
        return None if self.reason is None else self.reason.sentence

    @property
    def conclusive(self) -> tuple[Step, ...]:
        """The steps that conclusions rest on: those that hold a rate, and those next to the knee."""
        near = set() if self.knee is None else {self.knee.sustained, self.knee.broken}
        return tuple(step for step in self.steps if step.phase in HELD or step.asked in near)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why nothing can be concluded, in words; empty if it can."""
        found = []
        foreign = max((step.usage.foreign_load or 0.0 for step in self.conclusive if step.disturbed), default=0.0)
        if foreign:
            found.append(f"Other processes used {foreign:.2f} cores meanwhile: cannot conclude. Try a quiet machine.")
        late = [step for step in self.conclusive if step.late and not step.shortfalls(self.options.objectives)]
        if late:
            worst = max(step.lateness for step in late)
            found.append(
                f"Jobs were started up to {worst * 1e3:.1f} ms late (the 99th percentile), because the generator "
                "shares its process with the flow: latencies are those and more, so the run is invalid."
            )
        if any(step.phase is Phase.HOLD and _lacks(step) for step in self.steps):
            found.append("Even at 80 % of the knee the flow could not keep up for longer: cannot conclude where it is.")
        return tuple(found)

    @property
    def judgements(self) -> dict[Objective, Judgement]:
        """How each objective came out, at its rate, or else where a rate was held."""
        return {one: self._judged(one) for one in self.options.objectives}

    @property
    def unsustained(self) -> tuple[Step, ...]:
        """The steps that were asked for, and failed."""
        asked = (step for step in self.steps if step.phase in (Phase.FIXED, Phase.USERS))
        return tuple(step for step in asked if _lacks(step))

    @property
    def exit_code(self) -> Exit:
        """Load of others makes jobs slower, so what is met is met in spite of it."""
        judgements = self.judgements.values()
        if self.soak is not None and self.soak.growing:
            return Exit.MISSED
        if self.unsustained or Judgement.MISSED in judgements:
            return Exit.UNSURE if self.doubts else Exit.MISSED
        if Judgement.UNKNOWN in judgements or (self.doubts and not judgements):
            return Exit.UNSURE
        return Exit.GOOD

    def report(self, file: IO[str] | None = None) -> None:
        print("\n".join(report_lines(self.as_dict())), file=file or sys.stdout)

    def percentile_table(self) -> str:
        return percentile_table(self.latencies)

    def as_dict(self) -> dict[str, Any]:
        knee = self.knee
        return {
            "options": self.options.as_dict(),
            "mode": str(self.layout.mode),
            "workers": {str(mode): count for mode, count in self.layout.workers.items()},
            "cores": self.layout.cores,
            "alone": {"latency": self.profile.latency, "cpu": self.profile.cpu, "steady": self.steady},
            "predicted": [{"cause": str(one.cause), "rate": one.rate, "name": one.name} for one in self.ceilings],
            "useful_workers": self.useful_workers,
            "knee": None
            if knee is None
            else {
                "rate": knee.rate,
                "sustained": knee.sustained,
                "broken": knee.broken,
                "capacity": knee.capacity,
            },
            "reason": None
            if self.reason is None
            else {
                "cause": str(self.reason.cause),
                "routine": self.reason.routine_id,
                "sentence": self.reason.sentence,
            },
            "steps": [step_as_dict(step, self.options.objectives) for step in self.steps],
            "soak": None if self.soak is None else _soak_as_dict(self.soak),
            "slo": {str(one): str(judged) for one, judged in self.judgements.items()},
            "doubts": list(self.doubts),
            "exit_code": int(self.exit_code),
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2)

    def _judged(self, objective: Objective) -> Judgement:
        held = [step for step in self.steps if step.phase in HELD]
        about = [step for step in held if objective.rate in (None, step.asked)]
        measured = [step.latency.at(objective.metric) for step in about if step.latency.count >= objective.jobs]
        if any(value is not None and value > objective.seconds for value in measured):
            return Judgement.MISSED
        if any(_lacks(step) for step in about) or (self.knee is not None and self.knee.sustained is None):
            return Judgement.MISSED
        return Judgement.UNKNOWN if not measured or len(measured) < len(about) else Judgement.MET


def step_as_dict(step: Step, objectives: Sequence[Objective] = ()) -> dict[str, Any]:
    """One step as plain values."""
    latency = step.latency
    return {
        "phase": str(step.phase),
        "asked": step.asked,
        "users": step.users,
        "seconds": step.seconds,
        "offered": step.offered,
        "rate": step.rate,
        "completed": step.completed,
        "throughput": step.throughput,
        "failed": step.failed,
        "latency": {
            "n": latency.count,
            "mean": latency.mean,
            "p50": latency.p50,
            "p90": latency.p90,
            "p99": latency.p99,
            "p99.9": latency.p999,
            "max": latency.longest,
        },
        "waiting": step.waiting,
        "cores": step.cores,
        "workers": step.workers,
        "lateness": step.lateness,
        "late": step.late,
        "foreign_load": step.usage.foreign_load,
        "lacks": [one.value for one in (step.shortfalls(objectives) if step.users is None else _lacks(step))],
    }


def _lacks(step: Step) -> tuple[Shortfall, ...]:
    """What is missing by itself, whatever the objectives; users who wait for their jobs never have a backlog."""
    found = step.shortfalls()
    return found if step.users is None else tuple(one for one in found if one is Shortfall.FAILURES)


def _soak_as_dict(soak: Soak) -> dict[str, Any]:
    return {
        "growing": list(soak.growing),
        "quantities": {
            name: {
                "first": growth.first,
                "last": growth.last,
                "slope": growth.slope,
                "interval": [growth.low, growth.high],
                "growing": growth.growing if growth.known else None,
            }
            for name, growth in soak.growths.items()
        },
        "allocations": [list(item) for item in soak.allocations],
        "windows": [step_as_dict(window) for window in soak.windows],
    }
