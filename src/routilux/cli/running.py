"""`routilux run`, and what all commands need that run a flow."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts.types import PositiveInt
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from routilux.advice.report import Report, report, seconds, table
from routilux.advice.storage import save_trace
from routilux.api import Flow
from routilux.cli.options import Json, Switch, parameters, settings_from
from routilux.cli.shown import show
from routilux.cli.target import entry_of, flow_at
from routilux.escaping import escaped
from routilux.execution_mode import ExecutionMode
from routilux.facts import JobStatus
from routilux.guard import guarded
from routilux.job import Job
from routilux.plurals import counted
from routilux.settings import SettingArguments

EXAMPLES_OF_RUN = """\
Examples:
  routilux run shop:orders --entry read --params '{"path": "orders.csv"}'
  routilux run shop:orders --entry read --mode concurrent --workers 8 --progress
  routilux run shop:orders --entry read --trace orders.json   Record it, for `routilux analyze orders.json`
Exit codes: 0 completed, 1 failed or cancelled, 2 called wrongly."""

MOST_SHOWN = 20
"""So many results of a routine are printed."""

LONGEST = 100
"""Letters of a result."""

LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that was run, as it is shown."""

    job: Job

    def to_dict(self) -> dict[str, Any]:
        """Status, results and errors; what JSON has no word for as text."""
        job = self.job
        return {
            "flow": job.flow_id,
            "job": job.job_id,
            "status": job.status.value,
            "duration": job.duration,
            "results": dict(job.results),
            "errors": [str(failure) for failure in job.errors],
            "stranded": job.stranded,
        }

    def report(self) -> Report:
        """How it ended, and what left the flow."""
        job = self.job
        rows = [
            (routine_id, text)
            for routine_id, values in job.results.items()
            for text in [*map(_short, values[:MOST_SHOWN]), *_rest(len(values))]
        ]
        ended = sum(count.executions for count in job.counts.values())
        return report(
            f"Flow {job.flow_id!r}: {job.status} in {seconds(job.duration)}, {counted(ended, 'activation')}.",
            table("Results", ("routine", "result"), rows),
            "\n".join(f"Failed: {failure}" for failure in job.errors[:MOST_SHOWN]),
            "\n".join(job.stranded),
        )


def run_flow(
    target: str,
    /,
    *,
    entry: str | None = None,
    params: str = "{}",
    mode: ExecutionMode | None = None,
    workers: PositiveInt | None = None,
    progress: Switch = False,
    trace: Path | None = None,
    as_json: Json = False,
) -> int:
    """Run one job of a flow, and print what left it.

    Parameters
    ----------
    target
        Where the flow is, as module:flow.
    entry
        The routine to begin with, which must be said.
    params
        The first message of each of its slots, as a JSON object.
    mode
        The execution mode; that of the flow if none is given.
    workers
        The number of workers.
    progress
        Show what happens while it runs.
    trace
        Record the job, and write its trace to this file.
    as_json
        Print JSON.
    """
    flow, given = flow_at(target), parameters(params)
    begin, settings = entry_of(flow, entry, target), settings_from(mode, workers)
    if trace is not None:
        settings["recording"] = True
    job = _watched(flow, begin, given, settings) if progress else flow.execute(begin, given, **settings)
    if trace is not None:
        save_trace(job.trace, trace)
    show(Ended(job), as_json=as_json)
    if trace is not None:
        print(escaped(f"Wrote {trace}."), file=sys.stderr)
    return 0 if job.status is JobStatus.COMPLETED else 1


def _watched(flow: Flow, entry: str, given: Mapping[str, Any], settings: SettingArguments) -> Job:
    """Runs a job while its counts are shown; Ctrl-C cancels it."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(f"{flow.flow_id}: 0 activations", total=None)
        job = flow.start(entry, given, **settings)
        try:
            while not job.wait(LOOK_SECONDS):
                ended = sum(count.executions for count in job.counts.values())
                bar.update(task, description=f"{flow.flow_id}: {counted(ended, 'activation')}")
        except KeyboardInterrupt:
            job.cancel("interrupted")
            job.wait()
    return job


def _short(value: object) -> str:
    text, broken = guarded(repr, value)
    if broken is not None:
        return f"<{type(value).__name__}, whose repr raised {type(broken).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _rest(count: int) -> list[str]:
    return [f"... and {count - MOST_SHOWN:,} more"] if count > MOST_SHOWN else []
