"""`python -m benchmarks`: prints the table; exit code 1 where a figure misses its target."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from benchmarks import calls, processes
from benchmarks.measure import Figure

ROWS: dict[str, Callable[[float, int], list[Figure]]] = {
    "chain": lambda scale, repetitions: [calls.sequential_chain(scale, repetitions)],
    "fan-out": lambda scale, repetitions: [calls.concurrent_fan_out(scale, repetitions)],
    "sleepers": lambda scale, repetitions: [calls.sleeping_on_threads(scale, repetitions)],
    "tracker": lambda scale, repetitions: [calls.tracker_on_and_off(scale, repetitions)],
    "activations": lambda scale, _: [processes.memory_of_activations(scale)],
    "source-sequential": lambda scale, _: [processes.memory_of_a_source("sequential", scale)],
    "source-concurrent": lambda scale, _: [processes.memory_of_a_source("concurrent", scale)],
    "start": processes.start,
}


def measured(names: list[str], scale: float, repetitions: int) -> Iterator[Figure]:
    """The figures of the named rows."""
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        yield from ROWS[name](scale, repetitions)


def main() -> int:
    """Measures, prints, and gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that all runs, not how fast")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="only this row; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    scale, repetitions = (0.01, 2) if chosen.quick else (1.0, 11)
    figures = list(measured(chosen.only or list(ROWS), scale, repetitions))
    if chosen.json:
        print(json.dumps([dataclasses.asdict(figure) for figure in figures]))
    else:
        _show(figures)
    return 0 if chosen.quick or all(figure.reached for figure in figures) else 1


def _show(figures: list[Figure]) -> None:
    table = Table("measure", title=f"Python {sys.version.split()[0]}", title_justify="left")
    for name in ("target", "minimum", "median"):
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_column("")
    for one in figures:
        numbers = (f"<= {one.target:g} {one.unit}", f"{one.minimum:.2f} {one.unit}", f"{one.median:.2f} {one.unit}")
        table.add_row(one.measure, *numbers, "ok" if one.reached else "over", one.note)
    Console(width=160).print(table)


if __name__ == "__main__":
    sys.exit(main())
