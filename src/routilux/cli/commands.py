"""The commands. Exit codes: 0 done, 1 the job failed or modes differ, 2 what was asked for does not exist."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, Parameter
from rich.console import Console

from routilux.api import Flow
from routilux.demo.show import run_demo, standard_library
from routilux.errors import RoutiluxError, nearest
from routilux.settings import ExecutionMode

FAILED = 1
UNKNOWN = 2

app = App(name="routilux", help="An embedded, event-driven workflow engine that does its own performance tuning.")


class Format(StrEnum):
    """How a flow is shown."""

    TEXT = "text"
    MERMAID = "mermaid"


@app.command
def demo(
    directory: Path | None = None,
    *,
    mode: Annotated[list[ExecutionMode] | None, Parameter(negative="")] = None,
    limit: int | None = None,
) -> None:
    """Examine a folder of Python files with a flow, in each execution mode.

    Examples::

        routilux demo
        routilux demo --mode concurrent --limit 200
        routilux demo ~/my_project/src

    Parameters
    ----------
    directory
        The folder; the interpreter's own standard library if none is given.
    mode
        Only this execution mode; may be given several times.
    limit
        At most so many files.
    """
    folder = (directory or standard_library()).expanduser()
    if not folder.is_dir():
        give_up(f"There is no folder {str(folder)!r}. Name one with Python files in it.")
    if limit is not None and limit < 1:
        give_up(f"--limit must be a whole number from 1, not {limit}.")
    if not run_demo(folder, mode or list(ExecutionMode), limit):
        sys.exit(FAILED)


@app.command
def graph(flow: str, *, shown_as: Annotated[Format, Parameter(name="--format")] = Format.TEXT) -> None:
    """Show the routines and connections of a flow.

    Examples::

        routilux graph my_package.flows:orders
        routilux graph my_package.flows:orders --format mermaid > orders.mmd

    Parameters
    ----------
    flow
        Where it is: `module:name`, of a Flow or of a function without parameters that makes one.
    shown_as
        For people (`text`) or for what renders Markdown (`mermaid`).
    """
    found = find_flow(flow)
    print(found.describe() if shown_as is Format.TEXT else found.to_mermaid())


def find_flow(place: str) -> Flow:
    """The flow at `module:name`; ends the program with a message where there is none."""
    module_name, _, name = place.partition(":")
    if not module_name or not name:
        give_up(f"{place!r} does not say where the flow is. Write module:name, such as my_package.flows:orders.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        give_up(f"There is no module {missing.name!r}. Run this where it can be imported, or install it.")
    found = getattr(module, name, None)
    if callable(found) and not isinstance(found, Flow):
        try:
            found = found()
        except (TypeError, RoutiluxError) as error:
            give_up(f"{place!r} could not make a flow: {error}")
    if not isinstance(found, Flow):
        flows = [key for key, value in vars(module).items() if isinstance(value, Flow)]
        hint = nearest(name, flows) if flows else " A Flow, or a function that makes one, is what is needed."
        give_up(f"{name!r} in {module_name!r} is no flow.{hint}")
    return found


def give_up(message: str) -> NoReturn:
    """Says what is wrong, and ends."""
    Console(stderr=True).print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(UNKNOWN)


def run() -> None:
    """Reads the arguments and does what they say."""
    app()
