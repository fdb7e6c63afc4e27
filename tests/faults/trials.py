"""How many trials a fault gets, from which seeds, and what is told of them.

`ROUTILUX_FAULTS=ci` or `=nightly` makes them as many as they are meant to be; `ROUTILUX_SEED=17` repeats one.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SIZE = os.environ.get("ROUTILUX_FAULTS", "tiny")
ONLY = os.environ.get("ROUTILUX_SEED")
PATIENCE = 200 if SIZE == "tiny" else 8 * 3600
"""Seconds that all trials of one test may take."""


class Counted(NamedTuple):
    """The trials of one fault in one mode that went well."""

    fault: str
    mode: str
    count: int


class Trials:
    """Runs trials, each in a folder of its own."""

    def __init__(self, folder: Path, tell: Callable[[str, object], None]) -> None:
        self._folder = folder
        self._tell = tell

    def __call__(
        self,
        fault: str,
        mode: str,
        trial: Callable[[random.Random, Path], object],
        *,
        ci: int,
        nightly: int,
        tiny: int = 1,
    ) -> None:
        """Runs one trial for each seed; the seed of one that fails is in its error."""
        count = {"tiny": tiny, "ci": ci, "nightly": nightly}[SIZE]
        for seed in range(count) if ONLY is None else [int(ONLY)]:
            folder = self._folder / str(seed)
            folder.mkdir()
            try:
                trial(random.Random(f"{fault} {mode} {seed}"), folder)
            except BaseException as error:
                error.add_note(f"Trial of {fault}, mode {mode}: ROUTILUX_SEED={seed} repeats it.")
                raise
            shutil.rmtree(folder, ignore_errors=True)
        self._tell("trials", tuple(Counted(fault, mode, count)))

    def counted(self, fault: str, mode: str, count: int) -> None:
        """Says of trials that were run otherwise that they went well."""
        self._tell("trials", tuple(Counted(fault, mode, count)))


def table(counts: list[Counted]) -> list[str]:
    """How often what was tried."""
    modes = ["sequential", "concurrent", "asyncio", "multiprocessing", "distributed", "store"]
    sums: dict[tuple[str, str], int] = {}
    for fault, mode, count in counts:
        sums[fault, mode] = sums.get((fault, mode), 0) + count
    faults = sorted({fault for fault, _ in sums}, key=lambda fault: (fault[0], int(fault[1:].split()[0]), fault))
    width = max(map(len, faults), default=0)
    lines = [" " * width + "".join(f"{mode:>16}" for mode in modes)]
    for fault in faults:
        lines.append(f"{fault:<{width}}" + "".join(f"{sums.get((fault, mode), '-'):>16}" for mode in modes))
    return lines
