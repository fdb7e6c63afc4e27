"""Objectives: how long jobs may take, written as "p99=50ms@100/s"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from routilux.errors import SettingError
from routilux.loadtest.latencies import MANY
from routilux.loadtest.quantities import seconds_named
from routilux.rates import rate_of
from routilux.suggestions import nearest

METRICS = {"mean": 1, "p50": 20, "p90": 100, "p99": 1000, "p99.9": MANY, "max": 1}
"""What an objective can be about, and how many jobs it takes to tell."""

_WRITTEN = re.compile(r"([\w.]+)\s*(?:=|<=|<)\s*([^@]+?)\s*(?:@\s*(.+))?")


@dataclass(frozen=True, slots=True)
class Objective:
    """A bound for the latency of jobs."""

    metric: str
    seconds: float
    rate: float | None = None
    """The jobs a second at which it must hold; `None`: it is part of what "sustained" means."""
    written: str = ""

    @property
    def jobs(self) -> int:
        """So many jobs must be over before it can be said to hold."""
        return METRICS[self.metric]

    def __str__(self) -> str:
        return self.written


def objectives_named(written: str | Iterable[str] | None) -> tuple[Objective, ...]:
    """Each objective of a text, separated by commas, or of several; raises `SettingError` for what is none."""
    texts = [written] if isinstance(written, str) else list(written or ())
    return tuple(_objective(one.strip()) for text in texts for one in text.split(","))


def _objective(text: str) -> Objective:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise SettingError(f'slo must be written like "p99=50ms" or "p99=50ms@100/s", not {text!r}.')
    metric = found[1]
    if metric not in METRICS:
        raise SettingError(f"slo {text!r}: there is no {metric!r}.{nearest(metric, METRICS)}")
    seconds = seconds_named(f"slo {text!r}: the duration", found[2])
    rate = None if found[3] is None else rate_of(f"slo {text!r}: the rate", found[3])
    return Objective(metric, seconds, None if rate is None else rate.times / rate.period_ns * 1e9, text)
