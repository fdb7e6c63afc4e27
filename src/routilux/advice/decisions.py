"""What auto mode has decided for a flow, as an answer: each decision with its reason, what was foretold, what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from routilux.advice.answers import Answer
from routilux.advice.report import Report, Table, report, seconds, table
from routilux.execution_mode import ExecutionMode
from routilux.tuning.decision import Decision
from routilux.tuning.tuning import PilotedTuning


@dataclass(frozen=True, slots=True)
class Decided(Answer):
    """The last decisions of one flow."""

    flow_id: str
    workers: int
    """On how many threads its jobs are run now; one is that of whoever runs them."""
    mode: ExecutionMode
    """What those workers are."""
    frozen: bool
    decisions: tuple[Decision, ...]
    """The oldest first."""

    @property
    def conclusive(self) -> bool:
        return bool(self.decisions)

    @property
    def sentence(self) -> str:
        if not self.decisions:
            return f"Flow {self.flow_id!r}: nothing is decided yet; jobs in auto mode run in sequence until enough ran."
        now = "in sequence" if self.workers == 1 else _KINDS[self.mode].format(self.workers)
        still = "; it is frozen" if self.frozen else ""
        return f"Flow {self.flow_id!r} runs {now}: {self.decisions[-1].reason}{still}."

    def to_dict(self) -> dict[str, Any]:
        return {
            "flow": self.flow_id,
            "verdict": self.sentence,
            "workers": self.workers,
            "mode": self.mode.value,
            "frozen": self.frozen,
            "decisions": [one.to_dict() for one in self.decisions],
        }

    def report(self) -> Report:
        return report(self.sentence, _decisions(self.decisions), _numbers(self.decisions))


_KINDS = {ExecutionMode.CONCURRENT: "on {} threads", ExecutionMode.MULTIPROCESSING: "in {} processes"}

HEADS = ("when", "workers", "reason", "foretold", "measured", "off by", "and so")


def _decisions(decisions: Sequence[Decision]) -> Table:
    return table("Decisions; activations a second", HEADS, [_row(one) for one in decisions])


def _row(one: Decision) -> tuple[str, ...]:
    measured = "-" if one.measured is None else f"{one.measured:,.0f}"
    error = "-" if one.error is None else f"{one.error:+.0%}"
    workers = str(one.after) if one.before == one.after else f"{one.before} → {one.after}"
    if one.mode is ExecutionMode.MULTIPROCESSING:
        workers += " processes" if one.after > 1 else " thread"
    return _when(one), workers, one.reason, f"{one.predicted:,.0f}", measured, error, one.fate.value


def _numbers(decisions: Sequence[Decision]) -> Table:
    heads = ("when", "an activation takes", "CPU", "GIL share", "could run at once", "binds then")
    rows = [
        (
            _when(one),
            seconds(one.load.service),
            seconds(one.load.cpu_each),
            "unknown" if one.load.gil_share is None else f"{one.load.gil_share:.0%}",
            "any number" if one.load.breadth == float("inf") else f"{one.load.breadth:.1f}",
            one.term.value,
        )
        for one in decisions
    ]
    return table("The numbers behind them, of activations that ran one after another", heads, rows)


def _when(one: Decision) -> str:
    return datetime.fromtimestamp(one.epoch_ns / 1e9, UTC).astimezone().strftime("%H:%M:%S")


def decided(flow_id: str, tuning: PilotedTuning) -> Decided:
    """What a flow's tuning has decided so far."""
    return Decided(flow_id, tuning.workers, tuning.mode, tuning.frozen, tuning.decisions)
