"""Prospects: what a recorded job would take otherwise, as it is printed, and what it took when it was tried."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routilux.advice.answers import Answer
from routilux.advice.report import Report, report, seconds, table
from routilux.insight.configuration import Configuration
from routilux.insight.trace import Trace
from routilux.insight.what_if import WhatIf, recorded_configuration

LITTLE = 0.005
"""Gains with a smaller share are not told."""


@dataclass(frozen=True, slots=True)
class Prospects(Answer):
    """The answers for one recording; printed, they are a report."""

    trace: Trace
    what_if: WhatIf
    measured: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By configuration, as it is called: seconds of each run of those that were tried."""

    @property
    def sentence(self) -> str:
        check, recorded = self.what_if.self_check, recorded_configuration(self.trace)
        return f"Flow {self.trace.flow_id!r}, recorded in {recorded}: {seconds(check.recorded)}; {check}."

    @property
    def conclusive(self) -> bool:
        return self.what_if.self_check.trusted

    @property
    def error(self) -> float | None:
        """The median error of those predictions that were tried; `None` if none was."""
        errors = [
            abs(one.wall_time / statistics.median(runs) - 1)
            for one in self.what_if.predictions
            if (runs := self.measured.get(str(one.configuration)))
        ]
        return statistics.median(errors) if errors else None

    def measured_of(self, configuration: Configuration) -> float | None:
        """Seconds that a configuration took when it was tried, in the middle."""
        runs = self.measured.get(str(configuration))
        return statistics.median(runs) if runs else None

    def to_dict(self) -> dict[str, Any]:
        check = self.what_if.self_check
        return {
            "flow": self.trace.flow_id,
            "job": self.trace.job_id,
            "recorded": {"configuration": str(recorded_configuration(self.trace)), "wall_time": check.recorded},
            "self_check": {"replayed": check.replayed, "error": check.error, "trusted": check.trusted},
            "predictions": [
                {
                    "configuration": str(one.configuration),
                    "wall_time": one.wall_time,
                    "low": one.low,
                    "high": one.high,
                    "measured": list(self.measured.get(str(one.configuration), ())),
                }
                for one in self.what_if.predictions
            ],
            "twice_as_fast": {gain.subject: gain.share for gain in self.what_if.speed_ups},
            "without_waits": {gain.subject: gain.share for gain in self.what_if.waits_gone},
            "assumptions": list(self.what_if.assumptions),
            "foreign_load": self.trace.foreign_load,
        }

    def report(self) -> Report:
        check, what_if = self.what_if.self_check, self.what_if
        heads = ["configuration", "predicted", "8 of 10 between", "speed"]
        rows = []
        for one in what_if.predictions:
            band = f"{seconds(one.low)} - {seconds(one.high)}"
            speed = f"{check.recorded / one.wall_time:.2f} x" if one.wall_time else ""
            took = self.measured_of(one.configuration)
            tried = [] if not self.measured else [""] * 2 if took is None else _tried(took, one.wall_time)
            rows.append([str(one.configuration), seconds(one.wall_time), band, speed, *tried])
        if self.measured:
            heads += ["measured", "error"]
        faster = [(gain.subject, f"{gain.share:.1%}") for gain in what_if.speed_ups if gain.share >= LITTLE]
        gone = [(gain.subject, f"{gain.share:.1%}") for gain in what_if.waits_gone if gain.share >= LITTLE]
        return report(
            self.sentence,
            table("What it would take", heads, rows),
            table("If a routine were twice as fast, as recorded", ("routine", "shorter by"), faster),
            table("If nothing waited for", ("what", "shorter by"), gone),
            "\n".join(["Assumed:", *(f"- {one}" for one in what_if.assumptions)]),
        )


def _tried(took: float, predicted: float) -> list[str]:
    return [seconds(took), f"{predicted / took - 1:+.1%}"]
