"""The commands, as cyclopts reads them from functions: names and types are the options, docstrings the help."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.types import ExistingDirectory, PositiveInt

from routilux.cli.advising import EXAMPLES_OF_ADVICE, analyze, compare, simulate, tune
from routilux.cli.exit_codes import ExitCode, code_of
from routilux.cli.jobs import jobs_app
from routilux.cli.loadtest import EXAMPLES as EXAMPLES_OF_LOADTEST
from routilux.cli.loadtest import loadtest
from routilux.cli.options import JOURNAL_KEY, Switch
from routilux.cli.report import EXAMPLES_OF_REPORT, report
from routilux.cli.running import EXAMPLES_OF_RUN, run_flow
from routilux.cli.store import store_app
from routilux.cli.target import flow_at
from routilux.demo.comparison import all_equal
from routilux.demo.crashes import run_crash_demo
from routilux.demo.show import run_demo
from routilux.errors import JournalKeyError, RoutiluxError
from routilux.escaping import escaped_lines
from routilux.execution_mode import ExecutionMode

EXAMPLES_OF_DEMO = """\
Examples:
  routilux demo                                The standard library, every mode
  routilux demo --mode concurrent --limit 200  A part of it, on threads
  routilux demo src                            Another directory
  routilux demo --crash                        Stored, and its process is killed five times"""

EXAMPLES_OF_GRAPH = """\
Examples:
  routilux graph shop:orders                   Flow `orders` of shop.py
  routilux graph shop:orders --format mermaid  The same for a Markdown page
  routilux graph routilux.demo:build_flow      A function that builds one"""


def run(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name, and gives the exit code."""
    try:
        try:
            return _ended(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_unread()
        return ExitCode.UNREAD


def _ended(arguments: Sequence[str]) -> int:
    try:
        return int(command_line()(list(arguments), result_action="return_int_as_exit_code_else_zero"))
    except RoutiluxError as error:
        where = f" The command line takes it from {JOURNAL_KEY}." if isinstance(error, JournalKeyError) else ""
        print(f"routilux: {escaped_lines(str(error))}{where}", file=sys.stderr)
        return code_of(error)


def _leave_unread() -> None:
    """Sends what nobody reads nowhere, so that the end of the program does not complain of it again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


def command_line() -> App:
    """The command line with all its commands."""
    app = App(
        "routilux",
        help="Routilux: an embedded, event-driven workflow engine that does its own performance tuning.",
        help_format="plaintext",
        help_epilogue=f"{EXAMPLES_OF_DEMO}\n{EXAMPLES_OF_GRAPH.partition(chr(10))[2]}",
        version=version("routilux"),
    )
    app.command(demo, help_epilogue=EXAMPLES_OF_DEMO)
    app.command(graph, help_epilogue=EXAMPLES_OF_GRAPH)
    app.command(loadtest, help_epilogue=EXAMPLES_OF_LOADTEST)
    app.command(run_flow, name="run", help_epilogue=EXAMPLES_OF_RUN)
    for command in (analyze, simulate, tune, compare):
        app.command(command, help_epilogue=EXAMPLES_OF_ADVICE[command.__name__])
    app.command(report, help_epilogue=EXAMPLES_OF_REPORT)
    app.command(jobs_app())
    app.command(store_app())
    return app


def demo(
    directory: ExistingDirectory | None = None,
    /,
    *,
    mode: Annotated[tuple[ExecutionMode, ...], Parameter(negative=(), show_default=False)] = (),
    limit: PositiveInt | None = None,
    workers: PositiveInt | None = None,
    crash: Switch = False,
) -> int:
    """Examine a tree of Python source with a flow, in each mode, and compare.

    Exits with 1 if the modes found different things, or kills changed what was found.

    Parameters
    ----------
    directory
        What to examine; the standard library of this Python if none is given.
    mode
        Run in this mode only; may be given several times.
    limit
        Examine no more than so many files.
    workers
        How many handlers run at once in the modes that have workers.
    crash
        Store each step, kill the process at random moments, go on, and compare with a run that nothing disturbs; in
        one mode, on threads if none is given.
    """
    if crash:
        chosen = mode[0] if mode else ExecutionMode.CONCURRENT
        return 0 if run_crash_demo(directory, mode=chosen, limit=limit, max_workers=workers) else 1
    return 0 if all_equal(run_demo(directory, modes=mode, limit=limit, max_workers=workers)) else 1


def graph(target: str, /, *, shape: Annotated[Literal["text", "mermaid"], Parameter(name="--format")] = "text") -> None:
    """Print the routines and connections of a flow.

    Parameters
    ----------
    target
        Where the flow is, as module:flow. It may be a function that builds the flow and needs no argument.
    shape
        In words, or as a Mermaid flowchart.
    """
    flow = flow_at(target)
    print(flow.to_mermaid() if shape == "mermaid" else flow.describe())
