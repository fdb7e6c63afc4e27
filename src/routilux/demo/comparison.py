"""Runs the examination once in each mode, and keeps what there is to compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from routilux.api import Flow
from routilux.demo.measures import Broken, Module, Survey
from routilux.execution_mode import ExecutionMode
from routilux.loading import is_installed
from routilux.tracking.tracker import ExecutionTracker


@dataclass(frozen=True, slots=True)
class Run:
    """One examination: how it ran, and what it found."""

    mode: ExecutionMode
    seconds: float
    survey: Survey
    tracker: ExecutionTracker


def run_in(
    mode: ExecutionMode,
    flow: Flow,
    directory: Path,
    limit: int | None = None,
    advance: Callable[[], None] | None = None,
) -> Run:
    """Runs the flow of `build_flow` once; `advance` is called for each file that is done, in this thread.

    The flow gets a new tracker, so that its report is of this run alone.
    """
    tracker = flow.execution_tracker = flow.ExecutionTracker(flow_id=flow.flow_id)
    ranking: tuple[Module, ...] = ()
    broken: tuple[Broken, ...] = ()
    began = time.perf_counter()
    with flow.stream("walk", {"directory": directory, "limit": limit}, execution_mode=mode) as stream:
        for routine_id, value in stream.pairs():
            if routine_id == "rank":
                ranking = value
            elif routine_id == "broken":
                broken = value
            elif advance is not None:
                advance()
    seconds = time.perf_counter() - began
    return Run(mode, seconds, Survey(ranking, broken), tracker)


def all_equal(runs: Sequence[Run]) -> bool:
    """Whether every run found the same."""
    return all(run.survey == runs[0].survey for run in runs)


def modes_of(names: Iterable[ExecutionMode]) -> tuple[ExecutionMode, ...]:
    """The modes asked for, each once, in their usual order; if none is, all for which everything is installed."""
    chosen = frozenset(names) or {mode for mode in ExecutionMode if is_possible(mode)}
    return tuple(mode for mode in ExecutionMode if mode in chosen)


def is_possible(mode: ExecutionMode) -> bool:
    """Whether what a mode needs is installed."""
    return mode is not ExecutionMode.DISTRIBUTED or any(map(is_installed, ("distributed", "ray")))
