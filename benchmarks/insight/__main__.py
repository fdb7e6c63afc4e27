"""`python -m benchmarks.insight`: prints tables; exit code 1 where a figure misses its target."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks.insight import comparison, costs, verdicts
from benchmarks.insight.subjects import subjects
from benchmarks.insight.work import Work, server
from benchmarks.measure import Figure, exit_code
from benchmarks.table import show

WITHIN = 9 / 11
"""Of so many flows the best, or nearly, is to be found."""


def compared(chosen: list[str] | None, scale: float, repetitions: int) -> list[Figure]:
    """Predictions, tuning and auto mode."""
    with server() as far:
        there_are = subjects(Work(), far, scale)
        found = []
        for name in chosen or there_are:
            found.append(comparison.compared(name, there_are[name], repetitions, scale))
            print(found[-1], file=sys.stderr, flush=True)
    return comparison.figures(found, WITHIN)


def judged(scale: float) -> list[Figure]:
    """Verdicts."""
    found = []
    for label, kind, said in verdicts.verdicts(scale):
        found.append((label, kind, said))
        mark = "" if said.startswith(kind.value) else f"   <- {kind.value}"
        print(f"{label:28} {said}{mark}", file=sys.stderr, flush=True)
    return verdicts.figures(found)


def costing(scale: float, repetitions: int) -> list[Figure]:
    """What it costs to measure and to predict."""
    return [figure for one in (costs.always_on, costs.probe, costs.simulation) for figure in one(scale, repetitions)]


def main() -> int:
    """Measures, prints, and gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.insight", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that all runs, not how good it is")
    parser.add_argument("--only", action="append", choices=["flows", "verdicts", "costs"], help="may be repeated")
    parser.add_argument("--flow", action="append", help="only this flow; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    scale, repetitions = (0.05, 1) if chosen.quick else (1.0, 5)
    only, figures = chosen.only or ["costs", "verdicts", "flows"], list[Figure]()
    if "costs" in only:
        figures += costing(scale, repetitions)
    if "verdicts" in only:
        figures += judged(scale)
    if "flows" in only:
        figures += compared(chosen.flow, scale, repetitions)
    if chosen.json:
        print(json.dumps([{**asdict(figure), "verdict": figure.verdict} for figure in figures]))
    else:
        show(figures)
    return 0 if chosen.quick else exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
