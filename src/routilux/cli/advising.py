"""The commands that say where the time of a flow goes, and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts.types import PositiveInt

from routilux.advice.answers import Answer
from routilux.advice.changes import compare_traces
from routilux.advice.explanation import explain_trace
from routilux.advice.foresight import foresee
from routilux.advice.storage import load_trace
from routilux.api import Flow
from routilux.cli.options import Json, Switch, parameters, settings_from
from routilux.cli.shown import show
from routilux.cli.target import TargetError, entry_of, flow_at
from routilux.escaping import escaped
from routilux.execution_mode import ExecutionMode
from routilux.facts import JobStatus
from routilux.signals.calibration import cached_costs

TOO_BUSY = 3
"""The exit code where other processes used so much that nothing can be concluded."""

EXAMPLES_OF_ADVICE = {
    "analyze": """\
Examples:
  routilux analyze orders.json                 A recording of `routilux run ... --trace orders.json`
  routilux analyze shop:orders --entry read    Run the flow, and explain it
Exit codes: 0 done, 1 the flow failed, 2 called wrongly, 3 the machine was too busy to conclude.""",
    "simulate": """\
Examples:
  routilux simulate orders.json                        From a recording
  routilux simulate shop:orders --entry read --verify  Run the best two, too
Exit codes: 0 done, 1 the flow failed, 2 called wrongly, 3 the replay of the recording itself is not to be trusted.""",
    "tune": """\
Examples:
  routilux tune shop:orders --entry read --params '{"path": "orders.csv"}'
  routilux tune shop:orders --entry read --allow-processes --emit settings.toml
Exit codes: 0 done, 1 the flow failed, 2 called wrongly, 3 the machine was too busy to conclude.""",
    "compare": """\
Examples:
  routilux compare before.json after.json
Exit codes: 0 nothing is slower, 1 a routine is, 2 called wrongly.""",
}


def analyze(
    target: str,
    /,
    *,
    entry: str | None = None,
    params: str = "{}",
    mode: ExecutionMode | None = None,
    workers: PositiveInt | None = None,
    as_json: Json = False,
) -> int:
    """Say where the time of a job went, and what held it up.

    Parameters
    ----------
    target
        A recording, or a flow as module:flow, which is run and recorded.
    entry
        Of a flow: the routine to begin with.
    params
        The first message of each of its slots, as a JSON object.
    mode
        Of a flow: the execution mode, if not its own.
    workers
        The number of workers.
    as_json
        Print JSON.
    """
    failed = False
    if is_file(target):
        trace = load_trace(target)
    else:
        flow = flow_at(target)
        begin = entry_of(flow, entry, target)
        job = flow.record(begin, parameters(params), **settings_from(mode, workers))
        trace, failed = job.trace, job.status is not JobStatus.COMPLETED
        if failed:
            print("\n".join([f"The job {job.status}.", *map(str, job.errors)]), file=sys.stderr)
    explanation = explain_trace(trace)
    show(explanation, as_json=as_json)
    return 1 if failed else 0 if explanation.conclusive else TOO_BUSY


def simulate(
    target: str,
    /,
    *,
    entry: str | None = None,
    params: str = "{}",
    verify: Switch = False,
    allow_processes: Switch = False,
    as_json: Json = False,
) -> int:
    """Foretell what a job would take in other modes and with other workers.

    Parameters
    ----------
    target
        A recording, or a flow as module:flow, which is run and recorded.
    entry
        Of a flow: the routine to begin with.
    params
        The first message of each of its slots, as a JSON object.
    verify
        Of a flow: run the best two predictions, and show what they really take.
    allow_processes
        Whether those may need other processes.
    as_json
        Print JSON.
    """
    if not is_file(target):
        flow = flow_at(target)
        begin = entry_of(flow, entry, target)
        prospects: Answer = flow.what_if(begin, parameters(params), verify=verify, allow_processes=allow_processes)
    elif verify:
        raise TargetError(f"{target!r} is a recording, and only a flow can be run to verify: name it as module:flow.")
    else:
        prospects = foresee(load_trace(target), cached_costs(Flow))
    show(prospects, as_json=as_json)
    return 0 if prospects.conclusive else TOO_BUSY


def tune(
    target: str,
    /,
    *,
    entry: str | None = None,
    params: str = "{}",
    allow_processes: Switch = False,
    emit: Path | None = None,
    as_json: Json = False,
) -> int:
    """Find the settings that a flow is best run with: record it, foretell, try, and recommend.

    Parameters
    ----------
    target
        Where the flow is, as module:flow.
    entry
        The routine to begin with, which must be said.
    params
        The first message of each of its slots, as a JSON object.
    allow_processes
        Whether handlers may also be tried in other processes.
    emit
        Write the settings to this file: Python if it ends in .py, TOML if it ends in .toml.
    as_json
        Print JSON.
    """
    if emit is not None and emit.suffix not in (".py", ".toml"):
        raise TargetError(f"--emit {emit}: the name must end in .py or .toml, which says how the settings are written.")
    flow = flow_at(target, " `routilux analyze` and `routilux simulate` take recordings.")
    begin = entry_of(flow, entry, target)
    found = flow.tune(begin, parameters(params), allow_processes=allow_processes)
    if emit is not None:
        emit.write_text(found.to_python() if emit.suffix == ".py" else found.to_toml(), encoding="utf-8")
    show(found, as_json=as_json)
    if emit is not None:
        print(escaped(f"Wrote {emit}."), file=sys.stderr)
    return 0 if found.conclusive else TOO_BUSY


def compare(before: Path, after: Path, /, *, as_json: Json = False) -> int:
    """Say which routines changed between two recordings of one flow.

    Parameters
    ----------
    before
        The earlier recording.
    after
        The later recording.
    as_json
        Print JSON.
    """
    found = compare_traces(load_trace(before), load_trace(after))
    show(found, as_json=as_json)
    return 1 if found.worse else 0


def is_file(target: str) -> bool:
    """Whether a target means a recording, and not a flow."""
    return ":" not in target or Path(target).is_file()
