"""The command `routilux loadtest`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.types import ExistingFile, PositiveFloat, PositiveInt
from rich import box
from rich.console import Console
from rich.table import Table

from routilux.advice.report import seconds
from routilux.api import Flow
from routilux.cli.options import Json, settings_from
from routilux.cli.target import TargetError, entry_of, flow_at
from routilux.errors import DefinitionError, LoadTestError, SettingError
from routilux.escaping import escaped_lines
from routilux.execution_mode import ExecutionMode
from routilux.loadtest.options import Options, options_of
from routilux.loadtest.outcome import Outcome, StepFigures
from routilux.loadtest.report import HEAD, conclusions, heading, row, rows, soak_lines
from routilux.loadtest.trial import STEP_JOBS, least_seconds
from routilux.stores.opening import on_server

EXAMPLES = """\
Examples:
  routilux loadtest shop:orders --entry count --params '{"items": [1, 2]}'
                                               Find the knee, and why it is there
  routilux loadtest shop:orders --entry count --params @params.json --slo p99=50ms@100/s
                                               Exit with 1 if that is missed
  routilux loadtest shop:orders --entry count --params @params.json --rate 50 --soak 30m
                                               Does anything grow?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How to put a flow under load."""

    entry: str | None = None
    """The routine to begin with, which must be said."""
    params: str = "{}"
    """Its first messages as JSON, or @FILE; of a list of them each job takes the next."""
    arrivals: str = "poisson"
    """When jobs start: poisson, constant or burst:N."""
    trace: ExistingFile | None = None
    """A file of moments in seconds, one a line, at which jobs start, faster or slower as the rate asks."""
    users: PositiveInt | None = None
    """So many callers in place of arrivals, each of whom waits for one job before the next."""
    think: str = "0s"
    """How long a user rests between two jobs."""
    rate: PositiveFloat | None = None
    """Try these jobs a second, and no others."""
    slo: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = ()
    """How long jobs may take, as p99=50ms, or at a rate as p99=50ms@100/s; may be given several times."""
    soak: str | None = None
    """Go on for so long, as 30m, and watch the memory."""
    seconds: PositiveFloat = 3.0
    """The least length of a step."""
    max_rate: PositiveFloat | None = None
    """Try no more jobs a second."""
    seed: int = 0
    """Of the arrivals; with the same seed they are the same."""
    mode: ExecutionMode | None = None
    """Run the flow in this mode."""
    workers: PositiveInt | None = None
    """The number of workers of that mode."""


AS_IT_IS = Load()


def loadtest(
    target: str,
    /,
    *,
    load: Annotated[Load, Parameter(name="*")] = AS_IT_IS,
    as_json: Json = False,
    hgrm: Path | None = None,
) -> int:
    """Find how many jobs a second a flow sustains, and what stops it there.

    Exits with 0 if all is well, 1 if an objective was missed, the rate was not sustained or something grows, 2 if it
    was called wrongly, 3 if nothing can be concluded, because others used the machine or jobs were started late.

    Parameters
    ----------
    target
        Where the flow is, as module:flow. It may be a function that builds the flow and needs no argument.
    as_json
        Print everything as JSON.
    hgrm
        Write the latencies of the last rate that was held to this file, for plotters of HdrHistogram.
    """
    console = Console(stderr=as_json, markup=False, highlight=False, emoji=False)
    try:
        result = _tested(target, load, console)
    except (SettingError, DefinitionError) as error:
        raise TargetError(str(error)) from error
    except LoadTestError as error:
        print(f"routilux: {error}", file=sys.stderr)
        return 1
    if hgrm is not None:
        hgrm.write_text(result.percentile_table(), encoding="utf-8")
    if as_json:
        print(result.to_json())
    else:
        show(console, result)
    return int(result.exit_code)


def show(console: Console, result: Outcome) -> None:
    """Prints a result: a table on a terminal, plain text elsewhere."""
    if not console.is_terminal:
        result.report(console.file)
        return
    found = result.as_dict()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(HEAD):
        table.add_column(head, justify="left" if number in (0, len(HEAD) - 1) else "right")
    for cells, step in zip(rows(found["steps"]), found["steps"], strict=True):
        table.add_row(*cells, style="red" if step["lacks"] else "")
    for line in heading(found):
        console.print(line)
    console.print(table)
    if found["soak"] is not None:
        for line in soak_lines(found["soak"]):
            console.print(line)
    for number, line in enumerate(conclusions(found)):
        console.print(line, style="" if number else "bold")


def _tested(target: str, load: Load, console: Console) -> Outcome:
    flow = flow_at(target)
    begin, given = entry_of(flow, load.entry, target), _params(load.params)
    asked: dict[str, Any] = {
        "arrivals": load.arrivals if load.trace is None else _moments(load.trace),
        "users": load.users,
        "think": load.think,
        "rate": load.rate,
        "slo": load.slo,
        "soak": load.soak,
        "step_seconds": load.seconds,
        "max_rate": load.max_rate,
        "seed": load.seed,
    }
    for line in (_length(options_of(**asked)), _kept(flow)):
        if line is not None:
            print(escaped_lines(line), file=sys.stderr, flush=True)
    settings = settings_from(load.mode, load.workers)
    return flow.load_test(begin, given, on_step=lambda step: _progress(console, step), **asked, **settings)


def _length(options: Options) -> str:
    """How long it is going to take."""
    least = least_seconds(options)
    if least is not None:
        return f"It takes {seconds(least)} at least, after the warm-up."
    return (
        f"Searching for the knee, in steps of {seconds(options.step_seconds)} and {STEP_JOBS} jobs at least; it often "
        "takes ten. --rate tries one rate only."
    )


def _kept(flow: Flow) -> str | None:
    """That the jobs stay in a store, if they do."""
    store = flow.settings.store
    if store is None:
        return None
    place = store if isinstance(store, str | PathLike) and not on_server(store) else "STORE"
    return (
        f"Flow {flow.flow_id!r} has a store, and the jobs of this test stay in it: `routilux jobs purge {place} "
        "--finished-before 1h` removes all that have been over for so long, whoever submitted them."
    )


def _progress(console: Console, step: StepFigures) -> None:
    """One line of a terminal that says how far it is."""
    if console.is_terminal:
        cells = row(step)
        console.print(f"{cells[0]:<10} {cells[1]:>8}/s  p50 {cells[5]:>8}  p99 {cells[7]:>8}", style="dim")


def _params(written: str) -> Any:
    """The params that a text, or the file that it names, has as JSON."""
    try:
        text = Path(written[1:]).read_text(encoding="utf-8") if written.startswith("@") else written
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise TargetError(f"--params {written!r} is no JSON, nor @FILE with some: {error}") from error
    if not isinstance(found, Mapping | list) or not all(isinstance(one, Mapping) for one in _several(found)):
        raise TargetError(
            "--params must be a JSON object from the names of slots to values, or a list of such objects."
        )
    return found


def _several(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _moments(path: Path) -> list[float]:
    try:
        found = [float(line) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise TargetError(f"--trace {path} must have a moment in seconds on each line: {error}") from error
    if not all(map(math.isfinite, found)):
        raise TargetError(f"--trace {path} must have a moment in seconds on each line.")
    return found
