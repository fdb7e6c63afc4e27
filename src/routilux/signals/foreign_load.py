"""How much CPU time other processes used meanwhile: above a quarter of a core, timings say little."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

TOO_MUCH = 0.25
"""Cores; nothing should be concluded of a run beside which others used more."""

PROC = Path("/proc")


class Reading(NamedTuple):
    """What had been used at a moment, in seconds."""

    moment: float
    busy: float
    """CPU time of all processes together, and what a hypervisor kept."""
    own: float
    """That of this process and all that descend from it."""


class ForeignLoad:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._first = read(PROC)

    def cores(self) -> float | None:
        """How many cores others have used on average; `None` where that cannot be known."""
        last = read(PROC)
        return None if self._first is None or last is None else cores_between(self._first, last)


def cores_between(first: Reading, last: Reading) -> float | None:
    """How many cores others used on average between two moments.

    The kernel counts in hundredths of a second, so it takes half a second until this is exact to 0.05.
    """
    if last.moment <= first.moment:
        return None
    foreign = (last.busy - first.busy) - (last.own - first.own)
    return max(0.0, foreign / (last.moment - first.moment))


def read(proc: Path) -> Reading | None:
    """What has been used by now; `None` where there is no such directory."""
    try:
        figures = [int(figure) for figure in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    idle = figures[3] + figures[4]
    return Reading(time.monotonic(), (sum(figures) - idle) / ticks, _own_ticks(proc) / ticks)


def _own_ticks(proc: Path) -> int:
    used: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:  # it has ended
                continue
            number = int(entry.name)
            # Parent, and then CPU time of its own and of the children that it has waited for.
            children.setdefault(int(fields[1]), []).append(number)
            used[number] = sum(int(field) for field in fields[11:15])
    own, todo = 0, [os.getpid()]
    while todo:
        number = todo.pop()
        own += used.get(number, 0)
        todo += children.get(number, [])
    return own
