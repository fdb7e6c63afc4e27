"""What changed between two recordings, as it is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from routilux.advice.answers import Answer
from routilux.advice.report import Report, report, seconds, table
from routilux.insight.comparison import Change, Comparison, RoutineChange, compare
from routilux.insight.trace import Trace
from routilux.signals.foreign_load import TOO_MUCH


@dataclass(frozen=True, slots=True)
class Changes(Answer):
    """Between two recordings of one flow; printed, they are a report."""

    flow_id: str
    comparison: Comparison
    foreign_loads: tuple[float | None, float | None]
    """Cores that other processes used beside each."""

    @property
    def worse(self) -> bool:
        """Whether a routine has certainly become slower."""
        return bool(self.comparison.slower)

    @property
    def conclusive(self) -> bool:
        return all((load or 0.0) <= TOO_MUCH for load in self.foreign_loads)

    @property
    def sentence(self) -> str:
        slower = self.comparison.slower
        if slower:
            told = ", ".join(f"{one.routine_id!r} by {one.ratio - 1:.0%}" for one in slower)
            return f"Slower: {told}."
        faster = [one.routine_id for one in self.comparison.routines if one.change is Change.FASTER]
        return f"Nothing is slower; faster: {', '.join(map(repr, faster))}." if faster else "Nothing is slower."

    def to_dict(self) -> dict[str, Any]:
        routines = [{**asdict(one), "change": one.change.value} for one in self.comparison.routines]
        before, after = self.comparison.wall_times
        return {
            "flow": self.flow_id,
            "verdict": self.sentence,
            "worse": self.worse,
            "conclusive": self.conclusive,
            "wall_time": {"before": before, "after": after},
            "routines": routines,
            "differences": list(self.comparison.differences),
        }

    def report(self) -> Report:
        before, after = self.comparison.wall_times
        differences = self.comparison.differences
        return report(
            self.sentence,
            f"Flow {self.flow_id!r}: {seconds(before)} before, {seconds(after)} after.",
            table(
                "Routines, what cost most more first",
                ("routine", "before", "after", "ratio", "19 of 20 between", "change"),
                [_row(one) for one in self.comparison.routines],
            ),
            "\n".join(["Not equal:", *(f"- {one}" for one in differences)]) if differences else None,
        )


def compare_traces(before: Trace, after: Trace) -> Changes:
    """Compares two recordings; raises `RecordingError` if they are of different flows."""
    return Changes(before.flow_id, compare(before, after), (before.foreign_load, after.foreign_load))


def _row(one: RoutineChange) -> tuple[str, ...]:
    band = f"{one.low:.2f} - {one.high:.2f}"
    return one.routine_id, seconds(one.before), seconds(one.after), f"{one.ratio:.2f}", band, one.change.value
