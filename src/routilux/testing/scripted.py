"""Runs a flow with its activations settling in whatever order a test, or a seed, says.

The machine is the real one, with any number of pretended workers; handlers are called one at a time, when
their activation is told to settle. So every interleaving that threads could give can be had, and had again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Unpack

from routilux.api import Flow
from routilux.errors import UnfinishedJobError, UnknownRoutineError
from routilux.execution_mode import ExecutionMode
from routilux.facts import Fact, Rang, Record, Settled, Taken
from routilux.limits import Limits
from routilux.machine.delivery import Activation
from routilux.machine.forecast import timed_out
from routilux.machine.machine import Machine
from routilux.machine.step import apply
from routilux.ports import Steering
from routilux.settings import SettingArguments
from routilux.suggestions import nearest


class ScriptedRun(Steering):
    """One job, a step at a time; `job` is the job, as `Flow.start` would give it.

    With a `seed`, `run` lets chance decide at each step whether a worker takes something, which of the running
    activations settles, or whether time passes; `choose(n)` in its place decides between `n` possibilities.
    A test that wants one certain order calls `take` and `settle`.
    """

    def __init__(
        self,
        flow: Flow,
        entry: str,
        entry_params: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        choose: Callable[[int], int] | None = None,
        workers: int = 4,
        **settings: Unpack[SettingArguments],
    ) -> None:
        launch = flow._launch
        planned = launch.plan(entry, entry_params, {**settings, "execution_mode": ExecutionMode.SEQUENTIAL})
        course, first, history = launch.new_course(planned, workers, 2 * workers)
        self.course = course
        self._workers = workers
        self._flow = flow
        self.facts: list[Fact] = []
        """Everything that happened, in order; `replay` does it again."""
        self.job = launch.new_job(course, self, history)
        self._clock = flow._clock
        self._choose = choose or random.Random(seed).randrange
        self._invoker = launch.new_invoker(course)
        self._machine = course.machine
        self._ticks = first.moment
        self.post(first)

    @property
    def running(self) -> list[tuple[str, int]]:
        """What the pretended workers run: routine id and activation id, in the order in which it was taken."""
        return [(one[1].routine_id, one[0]) for one in self._machine.running.values()]

    def take(self) -> tuple[str, int] | None:
        """A free worker takes what is next; gives routine id and activation id, or `None` if there is nothing."""
        if len(self._machine.running) >= self._workers or self._machine.done:
            return None
        before = set(self._machine.running)
        self.post(Taken(self._moment()))
        taken = [one for number, one in self._machine.running.items() if number not in before]
        return (taken[0][1].routine_id, taken[0][0]) if taken else None

    def settle(self, routine_id: str) -> None:
        """Calls the handler of the oldest running activation of a routine, and settles it."""
        for activation in self._machine.running.values():
            if activation[1].routine_id == routine_id:
                self._settle(activation)
                return
        known = nearest(routine_id, {name for name, _ in self.running})
        raise UnknownRoutineError(f"No activation of {routine_id!r} is running.{known}")

    def pass_time(self) -> bool:
        """Lets the earliest moment come that the job waits for; says whether there was one."""
        due = self._machine.timers.next_due
        if due is None or self._machine.done:
            return False
        self._ticks = max(self._ticks, due)
        self.post(Rang(self._ticks, over=timed_out(self._machine, self._ticks)))
        return True

    def step(self) -> bool:
        """Does one thing that could happen next; says whether there was any."""
        activations = list(self._machine.running.values())
        could: list[Callable[[], object]] = [lambda one=one: self._settle(one) for one in activations]  # type: ignore[misc]
        if self.take() is not None:
            return True
        if self._machine.timers:
            could.append(self.pass_time)
        if not could:
            return False
        could[self._choose(len(could))]()
        return True

    def run(self) -> None:
        """Steps until the job is over, or can only wait for somebody (it is paused)."""
        while not self._machine.done and (self.step() or not (self._machine.done or self._machine.paused)):
            pass

    def replay(self) -> list[Record]:
        """The records that a fresh machine writes when the same facts happen to it again."""
        original = self._machine
        permits = Limits(self._flow.limits).of_job(self.course.origin.job_id)
        machine = Machine(original.plan, original.settings, self.course.origin, original.window, permits)
        for fact in self.facts:
            apply(machine, fact)
        return machine.ledger.records

    def workers(self, mode: ExecutionMode) -> int:
        return self._workers

    def post(self, fact: Fact) -> None:
        self.facts.append(fact)
        apply(self._machine, fact)
        if self._machine.done and self.course.ended_at is None:
            self.course.finish(self._moment(), self._invoker.close())

    def wait(self, timeout: float | None) -> bool:
        if not self.course.finished.is_set():
            raise UnfinishedJobError("A scripted job only goes on when it is stepped: call run() instead of waiting.")
        return True

    def _settle(self, activation: Activation) -> None:
        number, station, attempt = activation[0], activation[1], activation[5]
        skip = self._machine.fan_outs.yields_of(number) if station.is_generator else 0
        began = self._moment()
        emissions, error, more, _, _ = self._invoker(activation, skip)
        self.post(Settled(number, attempt, began, self._moment(), 0, emissions, error, more))

    def _moment(self) -> int:
        self._ticks += 1
        return self._ticks


def first_difference(
    make_flow: Callable[[], Flow],
    entry: str,
    entry_params: Mapping[str, Any] | None = None,
    *,
    seeds: Iterable[int] = range(100),
    workers: int = 4,
) -> str | None:
    """Runs a flow once in sequence and then under many orders of settling; says where the results first differ.

    Results are compared as multisets of routine id and `repr` of the value. `None`: no order made a difference.
    """
    job = make_flow().execute(entry, entry_params, execution_mode="sequential")
    expected, status = _multiset(job.results), job.status
    for seed in seeds:
        run = ScriptedRun(make_flow(), entry, entry_params, seed=seed, workers=workers)
        run.run()
        found = _multiset(run.job.results)
        if found != expected or run.job.status != status:
            return (
                f"seed {seed}: {run.job.status} instead of {status}; "
                f"missing {sorted((expected - found).elements())}, surplus {sorted((found - expected).elements())}"
            )
    return None


def _multiset(results: Mapping[str, list[Any]]) -> Counter[tuple[str, str]]:
    return Counter((routine_id, repr(value)) for routine_id, values in results.items() for value in values)
