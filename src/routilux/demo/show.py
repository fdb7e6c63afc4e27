"""Runs the demonstration in each mode, and shows what came of it."""

from __future__ import annotations

import io
import sysconfig
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from routilux.api import Flow
from routilux.demo.flow import build_flow, python_files
from routilux.demo.measures import Module
from routilux.settings import ExecutionMode

SHOWN = 10


@dataclass
class Findings:
    """What one run found."""

    modules: list[Module] = field(default_factory=list)
    broken: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0


def standard_library() -> Path:
    """The folder of the running interpreter's own library."""
    return Path(sysconfig.get_paths()["stdlib"])


@contextmanager
def quiet_compiler() -> Iterator[None]:
    """Keeps what the compiler warns of in old files to itself; around all threads, because filters are shared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run_demo(
    folder: Path, modes: list[ExecutionMode], limit: int | None = None, console: Console | None = None
) -> bool:
    """Examines `folder` once in each mode and prints the findings; says whether all modes found the same."""
    console = console or Console()
    total = len(python_files(folder, limit))
    console.print(f"Examining {total:,} Python files below {folder}", highlight=False, soft_wrap=True)
    found: dict[ExecutionMode, Findings] = {}
    with quiet_compiler():
        for mode in modes:
            flow = build_flow(execution_mode=mode)
            found[mode] = _run(flow, folder, limit, total, console)
            console.print()
            console.print(_report(flow), highlight=False, markup=False, soft_wrap=True)
    first = found[modes[0]]
    equal = all((one.modules, one.broken) == (first.modules, first.broken) for one in found.values())
    _show_ranking(first, console)
    _show_times(found, equal, console)
    return equal


def _run(flow: Flow, folder: Path, limit: int | None, total: int, console: Console) -> Findings:
    findings = Findings()
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(str(flow.settings.execution_mode), total=total)
        began = time.perf_counter()
        with flow.stream("files", {"folder": folder, "limit": limit}) as results:
            for routine_id, value in results.pairs():
                if routine_id == "ranking":
                    findings.modules = value
                elif routine_id == "broken":
                    findings.broken = value
                else:
                    progress.advance(bar)
        findings.seconds = time.perf_counter() - began
    return findings


def _report(flow: Flow) -> str:
    assert flow.execution_tracker is not None
    text = io.StringIO()
    flow.execution_tracker.report(text)
    return text.getvalue()


def _show_ranking(found: Findings, console: Console) -> None:
    table = Table("module", title="Most branches", title_justify="left")
    for name in ("branches", "functions", "docstrings", "imports", "lines"):
        table.add_column(name, justify="right")
    for module in found.modules[:SHOWN]:
        of = module.structure
        numbers = (of.branches, of.functions, of.docstrings, module.imports, of.lines)
        table.add_row(module.path, *(f"{number:,}" for number in numbers))
    console.print(table)
    console.print(f"{len(found.broken)} files could not be examined, and were handled:", highlight=False)
    for name, routine_id, reason in found.broken[:SHOWN]:
        console.print(f"  {name}: {routine_id}: {reason}", highlight=False, markup=False)
    if len(found.broken) > SHOWN:
        console.print(f"  and {len(found.broken) - SHOWN} more", highlight=False)


def _show_times(found: dict[ExecutionMode, Findings], equal: bool, console: Console) -> None:
    table = Table("mode", title="\nWall time", title_justify="left")
    for name in ("seconds", "files a second", "against the first"):
        table.add_column(name, justify="right")
    first = next(iter(found.values())).seconds
    for mode, one in found.items():
        files = len(one.modules) + len(one.broken)
        table.add_row(str(mode), f"{one.seconds:.2f}", f"{files / one.seconds:,.0f}", f"{first / one.seconds:.2f} x")
    console.print(table)
    console.print("All modes found the same." if equal else "The modes did NOT find the same.", highlight=False)
