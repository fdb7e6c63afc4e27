"""The demo as it is seen: a progress bar while it runs, then tables. All of it is plain text where no terminal is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from routilux.demo import source
from routilux.demo.comparison import Run, all_equal, is_possible, modes_of, run_in
from routilux.demo.examination import build_flow
from routilux.demo.measures import Survey
from routilux.execution_mode import ExecutionMode

SHOWN_MODULES = 10
SHOWN_BROKEN = 5


def run_demo(
    directory: Path | None = None,
    *,
    modes: Iterable[ExecutionMode] = (),
    limit: int | None = None,
    max_workers: int | None = None,
    console: Console | None = None,
) -> list[Run]:
    """Examines a directory (the standard library if none is given) once in each mode, and prints what came of it.

    `modes` empty means all for which everything is installed; `max_workers` is for those that have workers.
    """
    directory = source.standard_library() if directory is None else directory
    console = Console(markup=False, highlight=False, emoji=False) if console is None else console
    chosen = modes_of(modes)
    total = _count(directory, limit)
    console.print(f"Examining {total:,} Python files below {_printable(str(directory))}\n", soft_wrap=True)
    if not is_possible(ExecutionMode.DISTRIBUTED):
        console.print("Without distributed mode, which needs: pip install 'routilux[dask]'\n")
    flow = build_flow(max_workers=max_workers)
    runs = []
    with flow:
        for mode in chosen:
            with _progress(console, mode, total) as advance:
                runs.append(run_in(mode, flow, directory, limit, advance))
    _show_survey(console, runs[0].survey)
    for run in runs:
        console.print(f"Tracker's report, {run.mode} mode\n", style="bold")
        report = StringIO()
        run.tracker.report(report)
        console.print(report.getvalue(), soft_wrap=True)
    _show_comparison(console, runs)
    return runs


def _count(directory: Path, limit: int | None) -> int:
    """How many files there are. They are read once, lest the first mode alone should wait for the disk."""
    total = 0
    for name in source.python_files(directory, limit):
        total += 1
        try:
            (directory / name).read_bytes()
        except OSError:
            continue  # The flow will find the same, and say so.
    return total


@contextmanager
def _progress(console: Console, mode: ExecutionMode, total: int) -> Iterator[Callable[[], None]]:
    """Gives what is to be called for each file; draws a bar on a terminal, and else says only that it begins."""
    if not console.is_terminal:
        console.print(f"{mode}: {total:,} files ...")
        yield lambda: None
        return
    columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(mode, total=total)
        yield lambda: progress.advance(bar)


def _show_survey(console: Console, survey: Survey) -> None:
    table = _table("The most complex modules")
    for head in ("module", "complexity", "functions", "branches", "docstrings", "imports"):
        table.add_column(
            head, justify="left" if head == "module" else "right", overflow="fold", no_wrap=head != "module"
        )
    for module in survey.ranking[:SHOWN_MODULES]:
        numbers = (
            module.complexity,
            module.functions,
            module.branches,
            module.docstrings,
            module.imports,
        )
        table.add_row(_printable(module.name), *(f"{number:,}" for number in numbers))
    console.print()
    console.print(table)
    modules, failures = len(survey.ranking), len(survey.broken)
    console.print(f"{modules:,} modules measured, {failures:,} failures handled" + (":" if failures else "."))
    for file in survey.broken[:SHOWN_BROKEN]:
        console.print(f"  {_printable(file.name)}  ({file.routine_id})  {_printable(file.reason)}", soft_wrap=True)
    if failures > SHOWN_BROKEN:
        console.print(f"  ... and {failures - SHOWN_BROKEN:,} more")
    console.print()


def _show_comparison(console: Console, runs: Sequence[Run]) -> None:
    table = _table("The modes side by side")
    for head in ("mode", "wall time", "speed", "in handlers", "workers busy", "bottleneck"):
        table.add_column(head, justify="left" if head in {"mode", "bottleneck"} else "right")
    for run in runs:
        metrics = run.tracker.get_performance_metrics()
        worst = metrics["bottleneck"]
        table.add_row(
            run.mode,
            f"{run.seconds:.2f} s",
            f"{runs[0].seconds / run.seconds:.2f} x",
            f"{metrics['work']:.2f} s",
            f"{metrics['worker_utilisation']:.0%}",
            f"{worst['routine']} ({worst['share']:.0%})",
        )
    console.print(table)
    if len(runs) > 1:
        console.print("The results are equal in all modes." if all_equal(runs) else _difference(runs))


def _difference(runs: Sequence[Run]) -> str:
    """Names the modes that found something else than the first."""
    others = ", ".join(run.mode for run in runs if run.survey != runs[0].survey)
    return f"The results DIFFER between {runs[0].mode} and {others}. Did the files change meanwhile?"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _printable(text: str) -> str:
    """The text without what no terminal can show: file names that are not in any encoding."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
