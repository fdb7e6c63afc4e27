"""`python -m benchmarks.insight`: what a recording in sequence predicts of other modes, against what they take.

Each figure is the least of several runs, in turn, so that a busy machine disturbs all alike; the cores that others
used meanwhile are printed beside it, and a run with more than a quarter is shown and not counted.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.auto import report as report_auto
from benchmarks.measure import Figure
from benchmarks.synthetic import Subject, Work, server, subjects
from routilux import Flow
from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus
from routilux.insight.accounting import accounts_of
from routilux.insight.bounds import Bounds, Demand, bounds, demand_of
from routilux.insight.configuration import Configuration, sequential, threads, usual
from routilux.insight.costs import Costs
from routilux.insight.replay import replay
from routilux.insight.script import script_of
from routilux.insight.trace import Attempt, Host, Observed, ThreadState, Trace, cores_left
from routilux.insight.verdict import verdicts_of
from routilux.signals.calibration import calibrate
from routilux.signals.foreign_load import TOO_MUCH, ForeignLoad

PLAN = [sequential(), threads(2), threads(4), threads(8), threads(16)]


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration of one flow; seconds."""

    flow: str
    configuration: Configuration
    measured: float
    predicted: float
    foreign_load: float

    @property
    def error(self) -> float:
        """By how much of the measured time the prediction is too long."""
        return self.predicted / self.measured - 1

    @property
    def clean(self) -> bool:
        """Whether others let the machine alone."""
        return self.foreign_load <= TOO_MUCH


def simulation(scale: float, repetitions: int) -> list[Figure]:
    """Replays of 5,000 activations under nine configurations, all together."""
    trace, costs = _large(int(5000 * scale)), Costs()
    plan = usual(2)[:4] + usual(2)[-5:]

    def run() -> float:
        began = time.perf_counter()
        script = script_of(trace)
        for configuration in plan:
            assert replay(script, configuration, costs).wall_time > 0
        return time.perf_counter() - began

    times = [run() for _ in range(repetitions)]
    note = f"{len(trace.attempts)} activations, {len(plan)} configurations"
    return [Figure("replay of a job", 5.0, "s", min(times), statistics.median(times), note)]


def validate(chosen: list[str] | None, repeats: int, source: Configuration) -> list[Row]:
    """Predicted and measured times of the synthetic flows, printed as they come."""
    costs = calibrate(Flow)
    shown = (f"{name} {getattr(costs, name) * 1e6:.1f} µs" for name in ("sequential", "thread", "thread_wake"))
    print("costs:", ", ".join(shown))
    rows = list[Row]()
    with server() as answers:
        for name, subject in subjects(Work(), answers.ask).items():
            if chosen and name not in chosen:
                continue
            trace = _recorded(subject, name, source, repeats)
            script, demand = script_of(trace), demand_of(trace)
            _show_trace(name, trace, demand, source)
            for configuration, measured, foreign in _measured(subject, name, repeats):
                left = cores_left(trace.host.cores, foreign)
                predicted = replay(script, configuration, costs, left).wall_time
                rows.append(Row(name, configuration, measured, predicted, foreign))
                workers = configuration.workers_of(configuration.mode)
                _show_row(rows[-1], bounds(demand, configuration.mode, workers, left, costs))
    return rows


def _show_trace(name: str, trace: Trace, demand: Demand, source: Configuration) -> None:
    verdicts = ", ".join(f"{who} {verdict.kind.value}" for who, verdict in verdicts_of(trace).items())
    accounts = accounts_of(trace)
    print(
        f"\n{name}: {len(trace.attempts)} attempts, {trace.wall_time * 1e3:.1f} ms in {source}, "
        f"work {demand.work * 1e3:.1f} ms, span {demand.span * 1e3:.1f} ms, "
        f"foreign load {trace.foreign_load or 0:.2f}, unexplained "
        f"{accounts.job.unexplained / trace.wall_time:.2%}\n  {verdicts}"
    )


def _show_row(row: Row, bound: Bounds) -> None:
    print(
        f"  {row.configuration!s:24} measured {row.measured * 1e3:7.1f} ms  predicted {row.predicted * 1e3:7.1f} ms  "
        f"error {row.error:+6.1%}  bound {bound.least * 1e3:7.1f} ms, {bound.binding.value:14} "
        f"foreign load {row.foreign_load:.2f}{'' if row.clean else '  not counted'}",
        flush=True,
    )


def _settings(configuration: Configuration) -> dict[str, Any]:
    workers = configuration.workers_of(configuration.mode)
    return {"execution_mode": configuration.mode.value, "max_workers": workers}


def _recorded(subject: Subject, name: str, source: Configuration, repeats: int) -> Trace:
    """The fastest of several recordings, with what was seen in all of them."""
    with subject.flow(name, **_settings(source)) as flow:
        traces = [flow.record(subject.entry, subject.params).trace for _ in range(repeats)]
    states: dict[str, dict[ThreadState, float]] = {}
    for trace in traces:
        for routine_id, observed in trace.routines.items():
            known = states.setdefault(routine_id, {})
            for state, times in observed.states.items():
                known[state] = known.get(state, 0.0) + times
    best = min(traces, key=lambda trace: trace.wall_time)
    return best._replace(routines={routine_id: Observed(states=known) for routine_id, known in states.items()})


def _measured(subject: Subject, name: str, repeats: int) -> list[tuple[Configuration, float, float]]:
    """For each configuration: the least time of several, and how many cores others used in that run."""
    best: list[tuple[float, float]] = [(float("inf"), 0.0)] * len(PLAN)
    for _ in range(repeats):
        for index, configuration in enumerate(PLAN):
            with subject.flow(name, **_settings(configuration)) as flow:
                flow.execute(subject.entry, subject.params)
                load = ForeignLoad()
                took = flow.execute(subject.entry, subject.params).duration
                best[index] = min(best[index], (took, load.cores() or 0.0))
    return [(configuration, *found) for configuration, found in zip(PLAN, best, strict=True)]


def _large(count: int) -> Trace:
    """A job that loads and parses, told and not run."""
    chance, moment = random.Random(1), 1
    attempts = [Attempt(1, "source", 1, ActivationStatus.COMPLETED, (), 0, 0, 1, 0, 1)]
    for number in range(2, count + 1):
        loads = number <= count // 2
        cpu, took = (chance.randrange(300_000), chance.randrange(300_000, 9_000_000)) if loads else (2_000_000,) * 2
        cause, routine_id = (1, "load") if loads else (number - count // 2 + 1, "parse")
        who = number, routine_id, 1, ActivationStatus.COMPLETED, (cause,)
        attempts.append(Attempt(*who, attempts[cause - 1].ended, moment, moment + took, 0, cpu))
        moment += took
    return Trace(
        flow_id="large",
        mode=ExecutionMode.SEQUENTIAL,
        workers=1,
        start=0,
        end=moment,
        host=Host(2),
        attempts=tuple(attempts),
    )


def main() -> None:
    """Validates, and sums up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.insight", description=__doc__)
    parser.add_argument("--only", action="append", help="only this flow; may be repeated")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="record on so many threads, not in sequence")
    chosen = parser.parse_args()
    source = threads(chosen.threads) if chosen.threads else sequential()
    rows = validate(chosen.only, chosen.repeats, source)
    for title, counted in (
        ("all", rows),
        ("clean", [row for row in rows if row.clean]),
        ("clean, of another configuration", [row for row in rows if row.clean and row.configuration != source]),
    ):
        errors = sorted(abs(row.error) for row in counted)
        if errors:
            print(
                f"{title}: {len(errors)} predictions, median error {statistics.median(errors):.1%}, "
                f"90th percentile {errors[int(len(errors) * 0.9)]:.1%}, worst {errors[-1]:.1%}"
            )
    figure = simulation(1.0, 3)[0]
    print(f"{figure.measure}: {figure.best:.2f} s for {figure.note}")
    report_auto(chosen.only, chosen.repeats)


if __name__ == "__main__":
    main()
