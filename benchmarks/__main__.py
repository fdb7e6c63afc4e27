"""`python -m benchmarks`: prints the table; exit code 1 where a figure misses its target."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import calls, clusters, coroutines, metg, mixes, processes, stored, stored_postgres, workers
from benchmarks.measure import Figure, exit_code
from benchmarks.table import show

ROWS: dict[str, Callable[[float, int], list[Figure]]] = {
    "chain": calls.sequential_chain,
    "fan-out": calls.concurrent_fan_out,
    "sleepers": calls.sleeping_on_threads,
    "tracker": calls.tracker_on_and_off,
    "activations": lambda scale, _: processes.memory_of_activations(scale),
    "source-sequential": lambda scale, _: processes.memory_of_a_source("sequential", scale),
    "source-concurrent": lambda scale, _: processes.memory_of_a_source("concurrent", scale),
    "start": processes.start,
    "pausing": coroutines.pausing,
    "coroutines": coroutines.chain,
    "long-work": workers.long_work,
    "short-work": workers.short_work,
    "arrays": workers.arrays,
    "metg": metg.metg,
    **{name: partial(clusters.cluster, name) for name in clusters.CLUSTERS},
    "mixed": mixes.mixed,
    "stored-chain": stored.stored_chain,
    "stored-flight": stored.stored_flight,
    "stored-stream": stored.stored_stream,
    "stored-pending": stored.stored_pending,
    "stored-dbos": stored.stored_dbos,
    "stored-postgres": stored_postgres.stored_on_a_server,
}

MODES = list(ROWS)[list(ROWS).index("pausing") :]
"""The rows about modes other than sequential and concurrent."""


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
    parser.add_argument(
        "--modes", action="store_true", help="only the rows about asyncio, processes, clusters and mixes"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    scale, repetitions = (0.01, 2) if chosen.quick else (1.0, 11)
    figures = list(measured(chosen.only or (MODES if chosen.modes else list(ROWS)), scale, repetitions))
    if chosen.json:
        print(json.dumps([{**dataclasses.asdict(figure), "verdict": figure.verdict} for figure in figures]))
    else:
        show(figures)
    # Small sizes are mostly set-up, which says nothing of how fast it is.
    return 0 if chosen.quick else exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
