"""The report of one recorded job: a single HTML file with all it needs inside.

Verdict, tables and flow graph are in the file as they are read; only the timeline is drawn by a script, from data that
stands beside it. The file forbids itself every access to a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template

from routilux.exporters.html.forecast import forecast
from routilux.exporters.html.graph import drawn, graph_of
from routilux.exporters.html.markup import (
    CLASSES,
    Column,
    Markup,
    bar,
    duration,
    element,
    joined,
    percent,
    stacked,
    table,
    text,
)
from routilux.exporters.html.timeline import KINDS, data_of, embedded
from routilux.facts import ActivationStatus
from routilux.insight.accounting import Account, Accounts, accounts_of
from routilux.insight.bounds import bounds_of, demand_of
from routilux.insight.critical_path import CriticalPath, critical_path
from routilux.insight.split import splits_of
from routilux.insight.timeline import Use
from routilux.insight.trace import Attempt, Trace
from routilux.insight.verdict import Verdict, verdicts_of
from routilux.insight.what_if import WhatIf
from routilux.signals.foreign_load import TOO_MUCH

OURS = files("routilux.exporters.html")


def write(trace: Trace, path: str | PathLike[str], what_if: WhatIf | None = None) -> None:
    """Writes the report of a trace to a file, with what other configurations would give if that is known."""
    Path(path).write_text(render(trace, what_if), encoding="utf-8")


def render(trace: Trace, what_if: WhatIf | None = None) -> str:
    """The report of a trace as HTML."""
    page = Template(_own_file("page.html"))
    accounts, path, verdicts = accounts_of(trace), critical_path(trace), verdicts_of(trace)
    rows = _Routines(trace, verdicts)
    return page.substitute(
        title=text(f"{trace.flow_id}: where the time went"),
        flow=text(trace.flow_id),
        style=_own_file("report.css"),
        verdict=_verdict(trace),
        facts=_facts(trace, path),
        account=_account(accounts.job),
        key=_key(),
        graph=drawn(graph_of(trace), rows.shares, {who: str(one) for who, one in verdicts.items()}),
        routines=rows.table(),
        verdicts=_verdicts(verdicts),
        path=_path(path),
        waits=_waits(accounts),
        forecast=""
        if what_if is None
        else element(
            "section", element("h2", "What would be faster"), forecast(what_if, trace.wall_time), id="what-if"
        ),
        machine=_machine(trace),
        data=embedded(data_of(trace)),
        script=_own_file("report.js"),
    )


class _Routines:
    """The table of routines, the busiest first."""

    def __init__(self, trace: Trace, verdicts: Mapping[str, Verdict]) -> None:
        self._attempts: dict[str, list[Attempt]] = {}
        self._uses: dict[str, dict[Use, float]] = {}
        self._verdicts = verdicts
        for attempt, split in zip(trace.attempts, splits_of(trace), strict=True):
            self._attempts.setdefault(attempt.routine_id, []).append(attempt)
            seconds = self._uses.setdefault(attempt.routine_id, dict.fromkeys(KINDS, 0.0))
            for use, took in zip(KINDS, split, strict=True):
                seconds[use] += took
        work = {routine_id: sum(one.run_time for one in several) for routine_id, several in self._attempts.items()}
        total = sum(work.values())
        ranked = sorted(work.items(), key=lambda item: item[1], reverse=True)
        self._work = dict(ranked)
        self.shares = {routine_id: took / total if total else 0.0 for routine_id, took in ranked}

    def table(self) -> Markup:
        """One row for each routine."""
        columns = [
            Column("routine"),
            Column("attempts", number=True),
            Column("failed", number=True),
            Column("mean", number=True),
            Column("longest", number=True),
            Column("mean queue wait", number=True),
            Column("run time", number=True),
            Column("share", number=True),
            Column("of what"),
        ]
        return table("Routines, the busiest first", columns, map(self._row, self._work))

    def _row(self, routine_id: str) -> Sequence[object]:
        attempts, work = self._attempts[routine_id], self._work[routine_id]
        failed = sum(
            one.status in (ActivationStatus.FAILED, ActivationStatus.RETRIED, ActivationStatus.SKIPPED)
            for one in attempts
        )
        return (
            routine_id,
            f"{len(attempts):,}",
            f"{failed:,}" if failed else "-",
            duration(work / len(attempts)),
            duration(max(one.run_time for one in attempts)),
            duration(sum(one.queue_wait for one in attempts) / len(attempts)),
            duration(work),
            joined([bar(self.shares[routine_id]), percent(self.shares[routine_id])]),
            stacked(self._uses[routine_id], work),
        )


def _verdict(trace: Trace) -> Markup:
    """One sentence with a number, and a warning where it cannot be relied on."""
    if not trace.attempts:
        return element("p", "Nothing ran in this job.", class_="verdict")
    holds = bounds_of(trace, demand_of(trace))
    said = [element("p", holds.sentence(trace.wall_time), class_="verdict")]
    load = trace.foreign_load
    if load is not None and load > TOO_MUCH:
        warning = f"Other processes used {load:.2f} cores meanwhile: record again on a quiet machine before concluding."
        said.append(element("p", warning, class_="warning", role="note"))
    return joined(said)


def _facts(trace: Trace, path: CriticalPath) -> Markup:
    activations = len({attempt.activation_id for attempt in trace.attempts})
    shown = {
        "wall time": duration(trace.wall_time),
        "work": duration(path.work),
        "span": duration(path.span),
        "parallelism": f"{path.parallelism:.1f}",
        "mode": trace.mode.value,
        "workers": f"{trace.workers:,}",
        "activations": f"{activations:,}",
        "status": "-" if trace.status is None else trace.status.value,
    }
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in shown.items()),
        class_="facts",
    )


def _account(account: Account) -> Markup:
    """Where all of the wall time went; what is not accounted for is shown."""
    rows = [
        (
            joined([_swatch(use), use.value]),
            duration(seconds),
            percent(seconds / account.total if account.total else 0.0),
        )
        for use, seconds in account.by_use.items()
    ]
    if not account.complete:
        rows.append((text("unexplained"), duration(account.unexplained), percent(account.unexplained / account.total)))
    columns = [Column("what"), Column("time", number=True), Column("share", number=True)]
    whole = element("div", stacked(account.by_use, account.total), class_="whole")
    return joined([whole, table("What the wall time went into, told back from the end of the job", columns, rows)])


def _key() -> Markup:
    """What the colours and patterns of the timeline mean."""
    return element(
        "ul",
        *(element("li", _swatch(use), use.value) for use in KINDS),
        element("li", element("span", class_="swatch failed"), "failed"),
        class_="key",
    )


def _swatch(use: Use) -> Markup:
    return element("span", class_=f"swatch use-{CLASSES[use]}", aria_hidden="true")


def _verdicts(verdicts: Mapping[str, Verdict]) -> Markup:
    columns = [Column("routine"), Column("is bound by"), Column("because")]
    return table(
        "Of what kind each routine is", columns, [(who, one.kind.value, one.reason) for who, one in verdicts.items()]
    )


def _path(path: CriticalPath) -> Markup:
    rows = [(who, joined([bar(share), percent(share)])) for who, share in path.shares.items()]
    return table(
        f"The critical path: {len(path.steps):,} attempts in a row",
        [Column("routine"), Column("share", number=True)],
        rows,
    )


def _waits(accounts: Accounts) -> Markup:
    ranked = sorted(accounts.waits.items(), key=lambda item: item[1], reverse=True)
    columns = [Column("routine"), Column("waited because"), Column("all together", number=True)]
    caption = "What activations waited for; they wait side by side, so this may exceed the wall time"
    return table(caption, columns, [(who, use.value, duration(seconds)) for (who, use), seconds in ranked])


def _machine(trace: Trace) -> Markup:
    host, load = trace.host, trace.foreign_load
    known = [
        f"Routilux {trace.engine}" if trace.engine else "Routilux",
        f"Python {host.python}" if host.python else "",
        host.platform,
        f"{host.cores} cores",
        "" if host.gil else "no GIL",
        "foreign load unknown" if load is None else f"other processes used {load:.2f} cores",
        f"job {trace.job_id}" if trace.job_id else "",
    ]
    return text(" · ".join(one for one in known if one))


def _own_file(name: str) -> str:
    return OURS.joinpath(name).read_text(encoding="utf-8")
