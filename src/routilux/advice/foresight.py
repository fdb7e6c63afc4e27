"""Foresight: predicts, and where that is wanted, tries the best predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from routilux.advice.candidates import Candidate, Recorded, Trials, allowed_modes, candidates_for
from routilux.advice.prospects import Prospects
from routilux.execution_mode import ExecutionMode
from routilux.insight.configuration import Configuration, coroutines, sequential, usual
from routilux.insight.costs import Costs
from routilux.insight.fitting import fitted, matters
from routilux.insight.trace import Observed, ThreadState, Trace
from routilux.insight.what_if import Prediction, recorded_configuration, what_if

TRIED = 2
"""So many of the best predictions are tried."""

REPEATS = 5
ENOUGH_SECONDS = 2.0
"""A job that takes less is recorded thrice, so that more is seen of its routines."""

RECORDINGS = 3


def foresee(trace: Trace, costs: Costs, configurations: Sequence[Configuration] | None = None) -> Prospects:
    """What a recorded job would take on the usual configurations of its machine, and as it was recorded."""
    asked = [*(usual(trace.host.cores) if configurations is None else configurations)]
    recorded = recorded_configuration(trace)
    if str(recorded) not in map(str, asked):
        asked.insert(0, recorded)
    return Prospects(trace, what_if(trace, costs, asked))


def foresee_flow(
    trials: Trials, recorded: Recorded, costs: Costs, *, verify: bool, allow_processes: bool = False
) -> Prospects:
    """The same for a flow that can be run; with `verify`, the best two are."""
    cores = recorded.trace.host.cores
    candidates = candidates_for(trials, cores)
    asked = [one.configuration for one in candidates.values()]
    if not any(ExecutionMode.ASYNCIO in one.used and one.mode is ExecutionMode.ASYNCIO for one in asked):
        asked.append(coroutines())
    prospects = foresee(recorded.trace, costs_for(recorded, costs), asked)
    if not verify:
        return prospects
    modes = allowed_modes(recorded.unsendable, allow_processes=allow_processes)
    best = best_of(prospects.what_if.predictions, candidates, modes)[:TRIED]
    return replace(prospects, measured=trials.times([candidates[str(one.configuration)] for one in best], REPEATS))


def best_of(
    predictions: Sequence[Prediction], candidates: Mapping[str, Candidate], modes: Collection[ExecutionMode]
) -> list[Prediction]:
    """The predictions for what can be tried, the fastest first."""
    return [
        one for one in predictions if str(one.configuration) in candidates and set(one.configuration.used) <= set(modes)
    ]


def record_well(trials: Trials) -> Recorded:
    """The fastest of several recordings in sequence, with what was seen in all of them."""
    found = [trials.record({"execution_mode": ExecutionMode.SEQUENTIAL})]
    while len(found) < RECORDINGS and sum(one.trace.wall_time for one in found) < ENOUGH_SECONDS:
        found.append(trials.record({"execution_mode": ExecutionMode.SEQUENTIAL}))
    states: dict[str, dict[ThreadState, float]] = {}
    for one in found:
        for routine_id, observed in one.trace.routines.items():
            known = states.setdefault(routine_id, {})
            for state, times in observed.states.items():
                known[state] = known.get(state, 0.0) + times
    best = min(found, key=lambda one: one.trace.wall_time)
    routines: dict[str, Observed] = {
        routine_id: observed._replace(states=states[routine_id]) for routine_id, observed in best.trace.routines.items()
    }
    trace = best.trace._replace(routines=routines)
    return Recorded(trace, best.unsendable, _plain(trials) if matters(trace) else None)


def costs_for(recorded: Recorded, costs: Costs) -> Costs:
    """The costs by which to foretell: what recording took is taken from the job itself, where that matters."""
    return costs if recorded.plain is None else fitted(recorded.trace, costs, recorded.plain)


def _plain(trials: Trials) -> float:
    """Seconds that the job takes in sequence, unrecorded."""
    in_sequence = trials.candidate(sequential())
    return min(trials.times([in_sequence], RECORDINGS)[str(in_sequence.configuration)])
