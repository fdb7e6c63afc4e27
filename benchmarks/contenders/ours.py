"""The patterns as flows, with workers that stay for all runs."""

from __future__ import annotations

from typing import Any, TypeAlias

from benchmarks.contenders.port import WORKERS, Contender
from benchmarks.patterns import Pattern, task
from routilux import Context, Flow, Routine, batch, routine

Message: TypeAlias = tuple[int, int, int]
"""Rounds to spin, steps to go, and a result."""


class Seeds(Routine):
    """Emits the numbers that a pattern begins with, all on one event or each on one of its own."""

    def __init__(self, count: int, steps: int, *, apart: bool = False) -> None:
        super().__init__()
        self.steps = steps
        self.emitted = [f"seed_{number}" if apart else "seed" for number in range(count)]
        self.define_slot("rounds", handler=self.begin)
        for event in dict.fromkeys(self.emitted):
            self.define_event(event)

    def begin(self, rounds: int) -> None:
        """Emits them at once."""
        for number, event in enumerate(self.emitted):
            self.emit(event, (rounds, self.steps, number))


@routine(events=["next", "result"])
def leaf(message: Message, ctx: Context) -> None:
    """A task with one input, whose result is the flow's or goes on."""
    _go_on(ctx, message, task(message[0], message[2]))


@routine(events=["next", "result"])
def point(left: Message, middle: Message, right: Message, ctx: Context) -> None:
    """A task of a point and its neighbours."""
    _go_on(ctx, middle, task(middle[0], left[2], middle[2], right[2]))


@routine(events=["next", "result"])
def node(message: Message, ctx: Context) -> None:
    """A task whose result two others need."""
    value = task(message[0], message[2])
    _go_on(ctx, message, value)
    if message[1] > 1:
        _go_on(ctx, message, value)


@routine(events=["next", "result"])
def add(messages: list[Message], ctx: Context) -> None:
    """A task with many inputs."""
    _go_on(ctx, messages[0], task(messages[0][0], *[value for _, _, value in messages]))


class Ours(Contender):
    """A flow whose settings say where it runs."""

    def __init__(self, pattern: Pattern, **settings: Any) -> None:
        super().__init__(pattern)
        self._flow = Flow(pattern.name, **settings)
        {"trivial": _trivial, "stencil": _stencil, "tree": _tree, "fan-in": _fan_in}[pattern.name](self._flow, pattern)
        self._flow.__enter__()

    def run(self, rounds: int, chunk: int) -> list[int]:
        """Executes one job."""
        job = self._flow.execute("Seeds", {"rounds": rounds})
        job.raise_for_status()
        assert sum(count.completed for count in job.counts.values()) == self.pattern.tasks + 1
        return sorted(value for results in job.results.values() for _, _, value in results)

    def close(self) -> None:
        """Leaves the flow's block."""
        self._flow.__exit__(None, None, None)


def open_for(pattern: Pattern) -> Ours:
    """Our processes for this pattern."""
    return Ours(pattern, execution_mode="multiprocessing", max_workers=WORKERS)


def _go_on(ctx: Context, message: Message, value: int) -> None:
    rounds, steps, _ = message
    ctx.emit("next" if steps > 1 else "result", (rounds, steps - 1, value))


def _trivial(flow: Flow, pattern: Pattern) -> None:
    flow.add_routine(Seeds(pattern.seeds, len(pattern.levels)))
    flow.connect("Seeds", leaf)


def _stencil(flow: Flow, pattern: Pattern) -> None:
    """Each point is a routine that emits to its neighbours and itself, step by step.

    Each of its slots has one arrow from one point, whose results come in the order of steps.
    """
    flow.add_routine(Seeds(pattern.seeds, len(pattern.levels), apart=True))
    names = [flow.add_routine(point, f"point_{number}") for number in range(pattern.seeds)]
    for number in range(pattern.seeds):
        for needed, slot in zip(pattern.levels[0][number], ("left", "middle", "right"), strict=True):
            flow.connect("Seeds", f"seed_{needed}", names[number], slot)
            flow.connect(names[needed], "next", names[number], slot)


def _tree(flow: Flow, pattern: Pattern) -> None:
    flow.add_routine(Seeds(pattern.seeds, len(pattern.levels)))
    flow.connect("Seeds", node)
    flow.connect("node", "next", "node", "message")


def _fan_in(flow: Flow, pattern: Pattern) -> None:
    """Which are added together makes no difference to the sum of all."""
    summed = routine(events=["next", "result"], fires=batch(len(pattern.levels[-1][0])))(add.__wrapped__)
    flow.add_routine(Seeds(pattern.seeds, len(pattern.levels)))
    flow.connect("Seeds", leaf)
    for source, target in (("leaf", "parts"), ("parts", "whole")):
        flow.add_routine(summed, target)
        flow.connect(source, "next", target, "messages")
