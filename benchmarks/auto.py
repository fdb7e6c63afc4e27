"""`python -m benchmarks.auto`: auto mode against fixed settings, on flows whose costs are known.

Each flow runs in auto mode until nothing has changed for a while; then it and the fixed settings run in turn, so that a
busy machine disturbs all alike, and the least of several runs counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.synthetic import Subject, Work, count, numbers, server, subjects
from routilux import Flow
from routilux.errors import UnsendableError
from routilux.signals.foreign_load import TOO_MUCH, ForeignLoad

AUTO = "auto"
FIXED: dict[str, dict[str, Any]] = {
    "sequential": {"execution_mode": "sequential"},
    **{f"{n} threads": {"execution_mode": "concurrent", "max_workers": n} for n in (2, 4, 8, 16, 32, 64)},
}
PROCESSES: dict[str, dict[str, Any]] = {"processes": {"execution_mode": "multiprocessing"}}
"""What is compared with as well, where auto mode may use them."""

SETTLING = 3.0
"""Seconds in which a flow in auto mode has to settle."""


@dataclass(frozen=True, slots=True)
class Row:
    """One flow; seconds by setting."""

    flow: str
    times: dict[str, float]
    workers: int
    """On how many workers auto mode ran it."""
    mode: str
    """What those were."""
    foreign_load: float

    @property
    def best(self) -> str:
        """The fixed setting that was fastest."""
        return min((name for name in self.times if name != AUTO), key=lambda name: self.times[name])

    def against(self, setting: str) -> float:
        """By how much of the time of a fixed setting auto mode took longer."""
        return self.times[AUTO] / self.times[setting] - 1

    def __str__(self) -> str:
        counted = "" if self.foreign_load <= TOO_MUCH else "  not counted"
        return (
            f"{self.flow:12} auto {self.times[AUTO] * 1e3:8.1f} ms on {self.workers:2} ({self.mode:15}) "
            f"best {self.times[self.best] * 1e3:8.1f} ms ({self.best:10})  {self.against(self.best):+7.1%}  "
            f"against sequential {self.against('sequential'):+7.1%}  foreign load {self.foreign_load:.2f}{counted}"
        )


def compared(chosen: list[str] | None, repeats: int, *, processes: bool = False) -> Iterator[Row]:
    """The rows, as they come; `processes`: whether auto mode may use them."""
    with server() as answers:
        work = Work()
        for name, subject in {**subjects(work, answers.ask), **_without_gain(work)}.items():
            if not chosen or name in chosen:
                yield _row(name, subject, repeats, processes=processes)


def _row(name: str, subject: Subject, repeats: int, *, processes: bool) -> Row:
    load = ForeignLoad()
    with ExitStack() as stack:
        settings: dict[str, dict[str, Any]] = {AUTO: {"execution_mode": AUTO, "allow_processes": processes}, **FIXED}
        settings |= PROCESSES if processes else {}
        flows = {one: stack.enter_context(subject.flow(name, **given)) for one, given in settings.items()}
        for one in PROCESSES.keys() & flows:
            try:
                _run(flows[one], subject)
            except UnsendableError:
                del flows[one]
        until = time.perf_counter() + (3 * SETTLING if processes else SETTLING)
        while time.perf_counter() < until:
            _run(flows[AUTO], subject)
        best = dict.fromkeys(flows, float("inf"))
        for repeat in range(repeats + 1):
            for one, flow in flows.items():
                took = _run(flow, subject)
                if repeat:  # the first is for the workers to start
                    best[one] = min(best[one], took)
        return Row(name, best, flows[AUTO].tuning.workers, flows[AUTO].tuning.mode.value, load.cores() or 0.0)


def _run(flow: Flow, subject: Subject) -> float:
    return flow.execute(subject.entry, subject.params).raise_for_status().duration


def _without_gain(work: Work) -> dict[str, Subject]:
    """Flows that are fastest in sequence."""

    def define(step: Any) -> Any:
        def defined(flow: Flow) -> None:
            flow.chain(flow.add_routine(numbers, "numbers"), flow.add_routine(step, "step"), flow.add_routine(count))

        return defined

    return {
        "tiny": Subject("numbers", {"n": 50_000}, define(lambda x: x)),
        "Python 50 µs": Subject("numbers", {"n": 2_000}, define(lambda _: work.python(50e-6) or 1)),
    }


def main() -> None:
    """Compares, and sums up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto", description=__doc__)
    parser.add_argument("--only", action="append", help="only this flow; may be repeated")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", action="store_true", help="auto mode may use other processes")
    chosen = parser.parse_args()
    report(chosen.only, chosen.repeats, processes=chosen.processes)


def report(only: list[str] | None, repeats: int, *, processes: bool = False) -> None:
    """Prints the rows, and how many are within what is asked for."""
    rows = []
    for row in compared(only, repeats, processes=processes):
        rows.append(row)
        print(row, flush=True)
    clean = [row for row in rows if row.foreign_load <= TOO_MUCH]
    near = sum(row.against(row.best) <= 0.10 for row in clean)
    safe = sum(row.against("sequential") <= 0.05 for row in clean)
    print(f"auto: within 10% of the best in {near} of {len(clean)}, at most 5% over sequential in {safe}")


if __name__ == "__main__":
    main()
