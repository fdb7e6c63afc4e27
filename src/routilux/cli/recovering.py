"""`routilux jobs resume` and `retry`: stored jobs go on, and are watched until they are over."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from routilux.advice.report import Report, report
from routilux.api import Flow
from routilux.cli.exit_codes import ExitCode, code_of
from routilux.cli.options import Json, journal_key
from routilux.cli.running import LOOK_SECONDS, Ended
from routilux.cli.shown import show
from routilux.cli.target import TargetError, flow_at
from routilux.durable.journal_key import journal_key_of
from routilux.durable.unowned import is_paused
from routilux.errors import JobOverError, RecoveryError, RoutiluxError, StoreUnavailableError
from routilux.escaping import escaped_lines
from routilux.facts import JobStatus
from routilux.job import Job
from routilux.plurals import counted
from routilux.settings import SettingArguments
from routilux.stores.port import FINISHED, Records
from routilux.stores.sqlite.store import open_store

UNFINISHED = [one.value for one in JobStatus if one.value not in FINISHED]


@dataclass(frozen=True, slots=True)
class Recovered:
    """Jobs that went on and are over, and why others could not."""

    flow_id: str
    jobs: Sequence[Job]
    refused: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Each with its results."""
        jobs = [Ended(job).to_dict() for job in self.jobs]
        return {"jobs": jobs, "refused": dict(self.refused)}

    def report(self) -> Report:
        """Each as `routilux run` would show it."""
        if not self.jobs and not self.refused:
            return report(f"Flow {self.flow_id!r} has nothing to go on with.")
        return report(*(part for job in self.jobs for part in (f"Job {job.job_id}:", *Ended(job).report().parts)))


StorePath = Annotated[Path | None, Parameter(name="--store")]


def resume(target: str, /, *jobs: str, store: StorePath = None, as_json: Json = False) -> int:
    """Go on with the jobs that other processes left unfinished, and wait until they are over.

    All of the flow, but for those that are paused; one that is named goes on also if it is. Ctrl-C waits for the
    handlers that run, and leaves the jobs in the store as they are then.

    Parameters
    ----------
    target
        Where the flow is, as module:flow.
    jobs
        The ids of jobs; all if none is given.
    store
        The file of the store, if not that of the flow.
    as_json
        Print JSON.
    """
    flow, kept = _opened(target, store)
    wanted = jobs or _that_are_not_paused(flow, kept)
    return _run(target, flow, wanted, store, retry_failed=False, as_json=as_json)


def retry(target: str, job: str, /, *, store: StorePath = None, as_json: Json = False) -> int:
    """Go on with a job that failed: what stopped it is tried again, with all its retries; what is done stays done.

    A job that failed for another reason than a failed handler, as a limit or its timeout, cannot go on: submit another.

    Parameters
    ----------
    target
        Where the flow is, as module:flow.
    job
        The id of the job.
    store
        The file of the store, if not that of the flow.
    as_json
        Print JSON.
    """
    flow, _ = _opened(target, store)
    return _run(target, flow, [job], store, retry_failed=True, as_json=as_json)


def _opened(target: str, store: Path | None) -> tuple[Flow, Any]:
    flow = flow_at(target, " The store is that of the flow; --store FILE names another.")
    kept = store or flow.settings.store
    if kept is None:
        raise TargetError(f"{target} has no store. Give it one, Flow(..., store=...), or say --store FILE.")
    if not isinstance(kept, Records) and not Path(kept).expanduser().is_file():
        raise StoreUnavailableError(f"There is no store {kept}.")
    return flow, kept


def _that_are_not_paused(flow: Flow, kept: Any) -> list[str]:
    """What is to go on, oldest first; says what is not."""
    given = isinstance(kept, Records)
    key = journal_key() if flow.settings.journal_key is None else journal_key_of(flow.settings)
    records: Records = kept if given else open_store(kept, read_only=True, journal_key=key)
    found = list(records.jobs(flow.flow_id, UNFINISHED))[::-1]
    paused = {one.job_id for one in found if is_paused(records, one)}
    for job_id in sorted(paused):
        print(f"Job {job_id} is paused: name it to have it go on.", file=sys.stderr)
    return [one.job_id for one in found if one.job_id not in paused]


def _run(
    target: str, flow: Flow, wanted: Collection[str], store: Path | None, *, retry_failed: bool, as_json: bool
) -> int:
    elsewhere = SettingArguments() if store is None else SettingArguments(store=store)
    if flow.settings.journal_key is None:
        elsewhere["journal_key"] = journal_key()
    refused: RecoveryError | None = None
    jobs: Sequence[Job] = ()
    try:
        with flow:
            try:
                try:
                    jobs = flow.recover(wanted, retry_failed=retry_failed, **elsewhere)
                except RecoveryError as error:
                    refused, jobs = error, error.jobs
                _watch(flow.flow_id, jobs)
            except KeyboardInterrupt:
                print(
                    "Waiting for what runs to end; Ctrl-C again leaves it as a kill would.", file=sys.stderr, flush=True
                )
                raise
    except KeyboardInterrupt:
        print("Interrupted: jobs that are not over stay in the store.", file=sys.stderr, flush=True)
        if any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
            os._exit(ExitCode.INTERRUPTED)  # A thread whose handler does not return would keep the program.
        return ExitCode.INTERRUPTED
    errors = {} if refused is None else refused.errors
    reasons = {job_id: _reason(target, job_id, error) for job_id, error in errors.items()}
    show(Recovered(flow.flow_id, jobs, reasons), as_json=as_json)
    if refused is not None:
        said = (
            f"Flow {flow.flow_id!r}: {counted(len(reasons), 'stored job')} cannot go on. {' '.join(reasons.values())}"
        )
        print(f"routilux: {escaped_lines(said)}", file=sys.stderr)
        return code_of(refused)
    completed = all(job.status is JobStatus.COMPLETED for job in jobs)
    return ExitCode.DONE if completed else ExitCode.FAILED


def _reason(target: str, job_id: str, error: RoutiluxError) -> str:
    """Why a job cannot go on; of one that failed, with the command that tries it again."""
    if not isinstance(error, JobOverError) or "retry_failed" not in str(error):
        return str(error)
    return (
        f"Job {job_id} has failed, and nothing of it is left to run. "
        f"`routilux jobs retry {target} {job_id}` tries again what failed."
    )


def _watch(flow_id: str, jobs: Sequence[Job]) -> None:
    """Has those go on that are paused, and returns when all are over; shows a line meanwhile, where a terminal is."""
    for job in jobs:
        if job.status is JobStatus.PAUSED:
            job.resume()
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(flow_id, total=None)
        for job in jobs:
            while not job.wait(LOOK_SECONDS):
                ended = sum(count.executions for one in jobs for count in one.counts.values())
                over = sum(one.status.terminal for one in jobs)
                said = f"{over} of {counted(len(jobs), 'job')} over, {counted(ended, 'activation')}"
                bar.update(task, description=f"{flow_id}: {said}")
