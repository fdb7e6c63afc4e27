"""The recorder: keeps all that a trace of one job is made of, from just before its start to its end.

It reads the job as its history does. What would take time, as to weigh payloads, it does when it is asked for the
trace, so that it is not part of what is recorded. It keeps every record: a recording is as long as its job.
"""

from __future__ import annotations

import pickle
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from time import monotonic, perf_counter_ns
from typing import Any

from routilux.course import Course
from routilux.drivers.far import pack, pack_code, recipe_of
from routilux.drivers.invoke import Invoker, Surroundings
from routilux.drivers.measuring import MeasuringInvoker, Meter
from routilux.errors import UnfinishedJobError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Measured, Record
from routilux.firing import Collect, First
from routilux.guard import guarded, text_of
from routilux.insight.split import gil_share_in_time
from routilux.insight.trace import UNMEASURED, Attempt, Host, Observed, Trace, attempts_of
from routilux.machine.plan import Plan, Station
from routilux.recording import Recording
from routilux.signals.cores import usable_cores
from routilux.signals.foreign_load import ForeignLoad
from routilux.signals.probe import Probe

HERTZ = 200.0
"""How often the probe looks. It costs a few percent, and short jobs are to be judged, too."""

LONG_ENOUGH = 0.25
"""Seconds; what others used in less cannot be told from the ticks in which the kernel counts."""


class Recorder(Recording):
    """Of one job. Its probe looks from when it is made until the job is over."""

    def __init__(self, limits: Mapping[str, int | str]) -> None:
        """`limits` are those of the flow."""
        self._probe = Probe(HERTZ)
        self._meter = Meter(self._probe)
        self._limits = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
        self._records: list[Record] = []
        self._course: Course | None = None
        self._workers: Callable[[ExecutionMode], int] = lambda _: 1
        self._trace: Trace | None = None
        self._foreign_load: float | None = None
        self._unsendable: dict[str, str] = {}
        self._probe.start()
        self._load, self._began = ForeignLoad(), monotonic()

    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        self._records.extend(records)

    def follow(self, course: Course, workers: Callable[[ExecutionMode], int]) -> None:
        self._course, self._workers = course, workers
        course.when_finished.append(self._finish)

    def invoker(self, surroundings: Surroundings) -> Invoker:
        return MeasuringInvoker(surroundings, self._meter)

    @property
    def unsendable(self) -> Mapping[str, str]:
        assert self.trace is not None
        return self._unsendable

    @property
    def trace(self) -> Trace:
        course = self._course
        if course is None or course.ended_at is None:
            raise UnfinishedJobError("A job can be explained, and its trace had, once it is over. Call wait() first.")
        if self._trace is None:
            self._trace = self._made(course, course.ended_at)
            self._meter.samples.clear()
            self._records.clear()
        return self._trace

    def _finish(self, course: Course) -> None:
        self._probe.stop()
        if monotonic() - self._began > LONG_ENOUGH:
            self._foreign_load = self._load.cores()

    def _made(self, course: Course, ended: int) -> Trace:
        machine = course.machine
        plan, recorded = machine.plan, machine.ledger.recorded
        assert recorded is not None
        stations = {station.routine_id: station for station in plan.stations}
        weights = {who: self._weigh(plan, stations[who], given) for who, given in self._meter.samples.items()}
        workers = {mode: self._workers(mode) for mode in sorted(plan.in_use)}
        pauses = [*recorded.pauses, ended] if len(recorded.pauses) % 2 else recorded.pauses
        attempts = attempts_of(
            self._records, _completed(self._records, recorded.measured, weights), recorded.contributors
        )
        cpu = _cpu_seconds(attempts) if workers.get(ExecutionMode.CONCURRENT, 1) > 1 else {}
        return Trace(
            flow_id=course.origin.flow_id,
            job_id=course.origin.job_id,
            mode=plan.mode,
            workers=sum(workers.values()),
            start=course.started_at,
            end=ended,
            host=host(),
            attempts=attempts,
            routines={who: self._observed(plan, station, cpu.get(who, 0.0)) for who, station in stations.items()},
            workers_by_mode=workers,
            limits={**self._limits, **{_own(one): one.limit for one in plan.stations if one.limit is not None}},
            pauses=tuple(zip(pauses[::2], pauses[1::2], strict=True)),
            streamed=machine.streaming,
            foreign_load=self._foreign_load,
            engine=version("routilux"),
            status=machine.status,
            epoch_offset_ns=course.origin.epoch_offset_ns,
        )

    def _observed(self, plan: Plan, station: Station, cpu: float) -> Observed:
        """`cpu`: its seconds of CPU time, where several threads ran."""
        own = () if station.limit is None else (_own(station),)
        named = tuple(name for name in station.needs if name in self._limits)
        states = self._probe.states.get(station.routine_id, {})
        observed = observed_of(plan, station)._replace(states=states, limits=own + named)
        if not cpu or station.mode is not ExecutionMode.CONCURRENT:
            return observed
        return observed._replace(gil_share=gil_share_in_time(observed, self._probe.seconds_a_look, cpu))

    def _weigh(self, plan: Plan, station: Station, given: Sequence[tuple[Any, ...]]) -> Measured:
        """What the arguments of a routine weigh, pickled; notes whether it can run in another process at all."""
        broken = guarded(pack_code, recipe_of(plan.flow_id, station))[1]
        sizes, times = [], []
        for arguments in given:
            before = perf_counter_ns()
            size, failed = guarded(_there_and_back, arguments)
            broken = broken or failed
            if failed is None:
                sizes.append(size)
                times.append(perf_counter_ns() - before)
        if broken is not None:
            self._unsendable[station.routine_id] = f"{type(broken).__name__}: {text_of(broken)}"
        if not sizes:
            return UNMEASURED
        return Measured(None, round(statistics.fmean(sizes)), round(statistics.median(times)))


def observed_of(plan: Plan, station: Station) -> Observed:
    """What is known of a routine before it runs."""
    gathers = None if isinstance(station.rule, First) else station.closes
    slots = [(station.index, position) for position in range(len(station.names))]
    feeders = dict.fromkeys(chain.from_iterable(plan.feeders.get(slot, ()) for slot in slots))
    collects = tuple(feeders) if isinstance(station.rule, Collect) else ()
    return Observed(station.mode, collects=collects, gathers=gathers)


def host() -> Host:
    """This machine and interpreter."""
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return Host(usable_cores(), platform.python_version(), sys.platform, enabled(), sys.getswitchinterval())


def _completed(
    records: Sequence[Record],
    measured: Mapping[tuple[int, int, int], Measured],
    weights: Mapping[str, Measured],
) -> dict[tuple[int, int, int], Measured]:
    """What was measured of each attempt; where its own payload was not weighed, that of its routine."""
    found = {}
    for record in records:
        key = record[1], record[3], record[7]
        own, usual = measured.get(key, UNMEASURED), weights.get(record[2], UNMEASURED)
        if own.payload_bytes is None:
            own = own._replace(payload_bytes=usual.payload_bytes, pickle_ns=usual.pickle_ns)
        found[key] = own
    return found


def _cpu_seconds(attempts: Sequence[Attempt]) -> dict[str, float]:
    """By routine, of all that was measured."""
    found: dict[str, float] = {}
    for one in attempts:
        found[one.routine_id] = found.get(one.routine_id, 0.0) + (one.cpu_ns or 0) / 1e9
    return found


def _there_and_back(arguments: tuple[Any, ...]) -> int:
    packed = pack(arguments)
    pickle.loads(packed)
    return len(packed)


def _own(station: Station) -> str:
    """The name of the limit on how many activations of one routine run at once."""
    return f"max_concurrency of {station.routine_id}"
