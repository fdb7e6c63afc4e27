"""`routilux jobs`: what is in a store, and what of it should go on, end or be forgotten."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from routilux.cli.done import Done
from routilux.cli.exit_codes import ExitCode, code_of
from routilux.cli.options import Json, Switch, journal_key
from routilux.cli.place import Place
from routilux.cli.recovering import resume, retry
from routilux.cli.shown import show
from routilux.cli.stored import Described, Listed
from routilux.clock import SystemClock
from routilux.durable import unowned
from routilux.durable.account import account_of
from routilux.errors import StoreDamagedError
from routilux.escaping import escaped, escaped_lines
from routilux.facts import JobStatus
from routilux.loadtest.quantities import seconds_named
from routilux.plurals import counted
from routilux.stores.opening import open_store, owner_of
from routilux.stores.port import StoredJob

CODES = """\
Exit codes: 0 done, 1 a job failed, 2 called wrongly, 4 damaged, 5 in use by another process, 6 no such job,
7 the flow has changed, 8 the store cannot be read or written, 130 interrupted."""

EXAMPLES = f"""\
Examples:
  routilux jobs list jobs.db --status failed      What failed?
  routilux jobs show jobs.db 4f1d...              Why?
  routilux jobs retry shop:orders 4f1d...         Try that again, and go on
  routilux jobs resume shop:orders                Go on with all that a crash left
  routilux jobs cancel jobs.db 4f1d... --reason "no longer needed"
  routilux jobs purge jobs.db --finished-before 7d
  routilux jobs export jobs.db 4f1d... -o job.jsonl
{CODES}"""

LISTED = 100


def jobs_app() -> App:
    """The commands on stored jobs."""
    app = App("jobs", help="List, look at, go on with and remove stored jobs.", help_epilogue=EXAMPLES)
    app.command(list_jobs, name="list", help_epilogue=EXAMPLES)
    app.command(show_job, name="show", help_epilogue=EXAMPLES)
    for command in (resume, retry, cancel, pause, purge, export):
        app.command(command, help_epilogue=EXAMPLES)
    return app


def list_jobs(
    store: Place,
    /,
    *,
    flow: str | None = None,
    status: Annotated[tuple[JobStatus, ...], Parameter(negative=(), show_default=False)] = (),
    limit: PositiveInt = LISTED,
    as_json: Json = False,
) -> int:
    """List the jobs of a store, newest first; it may be in use.

    Parameters
    ----------
    store
        The store: its file, or its address on a server.
    flow
        Only those of the flow of this name.
    status
        Only those in this status; may be given several times. Whatever is not over is "pending".
    limit
        No more than so many.
    as_json
        Print JSON.
    """
    found: list[StoredJob] = []
    damage: StoreDamagedError | None = None
    with open_store(store, read_only=True, journal_key=journal_key()) as records:
        try:
            for one in islice(records.jobs(flow, [one.value for one in status]), limit + 1):
                found.append(one)  # noqa: PERF402 -- what was read before the damage is shown
        except StoreDamagedError as error:
            damage = error
    show(Listed(found[:limit], len(found) > limit), as_json=as_json)
    if damage is None:
        return ExitCode.DONE
    print(f"routilux: {escaped_lines(str(damage))} What was submitted before it is not listed.", file=sys.stderr)
    return code_of(damage)


def show_job(store: Place, job: str, /, *, payloads: Switch = False, as_json: Json = False) -> int:
    """Say how a job stands: what ran, what failed and why, what it waits for. The store may be in use.

    Parameters
    ----------
    store
        The store: its file, or its address on a server.
    job
        The id of the job.
    payloads
        Show what it was given and what left the flow, too; both are hidden else.
    as_json
        Print JSON.
    """
    with open_store(store, read_only=True, journal_key=journal_key()) as records:
        account = account_of(records, unowned.job_in(records, job))
    owner = owner_of(store)
    show(Described(account, payloads, owner if owner is not None and owner.pid else None), as_json=as_json)
    return ExitCode.DONE if account.damage is None else ExitCode.DAMAGED


def cancel(store: Place, job: str, /, *, reason: str = "cancelled on the command line", as_json: Json = False) -> None:
    """End a job that no process runs, for good; it stays in the store.

    Parameters
    ----------
    store
        The store, which no process may have: its file, or its address on a server.
    job
        The id of the job.
    reason
        Why, for whoever looks at it later.
    as_json
        Print JSON.
    """
    with open_store(store, journal_key=journal_key()) as opened:
        unowned.cancel(opened, job, reason, SystemClock().epoch())
    show(Done(f"Job {job} is cancelled.", {"job": job, "status": "cancelled"}), as_json=as_json)


def pause(store: Place, job: str, /, *, as_json: Json = False) -> None:
    """Have a job that no process runs start nothing when others are recovered, until it is resumed by its id.

    Parameters
    ----------
    store
        The store, which no process may have: its file, or its address on a server.
    job
        The id of the job.
    as_json
        Print JSON.
    """
    with open_store(store, journal_key=journal_key()) as opened:
        unowned.pause(opened, job, SystemClock().epoch())
    show(Done(f"Job {job} is paused.", {"job": job, "status": "paused"}), as_json=as_json)


def purge(store: Place, job: str | None = None, /, *, finished_before: str | None = None, as_json: Json = False) -> int:
    """Remove a job from its store, or all that were over before some time, with all that is kept of them.

    The key of a removed job is free: to submit with it again makes a new job.

    Parameters
    ----------
    store
        The store, which no process may have: its file, or its address on a server.
    job
        The id of the job, whether it is over or not.
    finished_before
        Remove those that have been over for so long, as 7d or 12h.
    as_json
        Print JSON.
    """
    if (job is None) == (finished_before is None):
        print("routilux: say which job, or --finished-before 7d.", file=sys.stderr)
        return ExitCode.WRONG
    age = None if finished_before is None else seconds_named("--finished-before", finished_before)
    with open_store(store, journal_key=journal_key()) as opened:
        if age is not None:
            removed = opened.purge_finished(age)
            done = Done(f"{counted(removed, 'job')} {'is' if removed == 1 else 'are'} removed.", {"removed": removed})
        else:
            assert job is not None
            opened.purge(job)
            done = Done(f"Job {job} is removed.", {"removed": 1, "job": job})
    show(done, as_json=as_json)
    return ExitCode.DONE


def export(
    store: Place,
    job: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
) -> int:
    """Write the facts of a job, payloads and all, as lines of JSON. The store may be in use.

    Each line has the number of a fact, its kind, when it happened (nanoseconds since the epoch), and its record.

    Parameters
    ----------
    store
        The store: its file, or its address on a server.
    job
        The id of the job.
    output
        The file to write; the standard output if none is given.
    """
    with open_store(store, read_only=True, journal_key=journal_key()) as records:
        unowned.job_in(records, job)
        with nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8") as lines:
            for seq, epoch, (kind, at, body) in records.entries(job):
                fact = {"seq": seq, "epoch": epoch, "kind": kind, "at": at, "fact": unowned.parsed(body)}
                print(json.dumps(fact), file=lines)
    if output is not None:
        print(escaped(f"Wrote {output}."))
    return ExitCode.DONE
