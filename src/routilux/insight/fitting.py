"""What recording took of each attempt, found by what the same job took without it."""

from __future__ import annotations

from dataclasses import replace

from routilux.insight.configuration import sequential
from routilux.insight.costs import Costs
from routilux.insight.replay import replay
from routilux.insight.script import script_of
from routilux.insight.trace import Trace

MOST = 20e-6
"""Seconds; recording an attempt never takes more."""

NEGLIGIBLE = 0.02
"""Where recording can have taken no larger share of a job, nothing is to be found."""

CLOSE = 0.01
"""So near to what it took the replay is brought."""

HALVINGS = 12


def matters(trace: Trace) -> bool:
    """Whether recording can have taken a part of the job that counts."""
    return len(trace.attempts) * MOST > NEGLIGIBLE * trace.wall_time


def fitted(trace: Trace, costs: Costs, plain: float) -> Costs:
    """The costs with which a job recorded in sequence replays to the seconds that it took when it was not recorded.

    Where that would be less than nothing of its handlers, the engine was faster than when its costs were measured.
    """
    script, low, high = script_of(trace), 0.0, MOST

    def replayed(recording: float) -> float:
        return replay(script.unrecorded(recording), sequential(), costs).wall_time

    at_least = replayed(MOST)
    if at_least > plain:
        pace = plain / at_least
        scaled = replace(costs, sequential=costs.sequential * pace, thread=costs.thread * pace, loop=costs.loop * pace)
        return replace(scaled, recording=MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        took = replayed(middle)
        low, high = (middle, high) if took > plain else (low, middle)
        if abs(took - plain) <= CLOSE * plain:
            return replace(costs, recording=middle)
    return replace(costs, recording=(low + high) / 2)
