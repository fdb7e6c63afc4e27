"""An explanation: where the time of one job went, what held it up, and what its routines are bound by.

All of it follows from a trace. Of a job that was not recorded the trace has only what its history kept, and the
explanation says what is not known then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from routilux.advice.answers import Answer
from routilux.advice.report import Report, Table, bar, report, seconds, table
from routilux.insight.accounting import NOBODY, Account, Accounts, accounts_of
from routilux.insight.bounds import Bounds, bounds_of, demand_of
from routilux.insight.critical_path import CriticalPath, critical_path
from routilux.insight.timeline import Use
from routilux.insight.trace import Trace
from routilux.insight.verdict import Kind, Verdict, verdicts_of
from routilux.plurals import counted
from routilux.signals.foreign_load import TOO_MUCH

LITTLE = 0.01
"""What has a smaller share of the time is not told one by one."""

MOST_WAITS = 10
"""So many reasons to wait are listed."""

NOT_RECORDED = "It was not recorded, so CPU time, the GIL and what handlers wait for are not known."


@dataclass(frozen=True, slots=True)
class Explanation(Answer):
    """Of one job; printed, it is a report."""

    trace: Trace
    accounts: Accounts
    path: CriticalPath
    bounds: Bounds
    verdicts: dict[str, Verdict]
    unknown: tuple[str, ...] = ()
    """What could not be found out, in sentences."""
    recorded: bool = True

    @property
    def conclusive(self) -> bool:
        return (self.trace.foreign_load or 0.0) <= TOO_MUCH

    @property
    def sentence(self) -> str:
        if not self.trace.attempts:
            return "Nothing ran that could be explained."
        if not self.recorded:
            most = max(self.bounds.demand.work_by_routine, key=lambda one: self.bounds.demand.work_by_routine[one])
            share = self.bounds.demand.work_by_routine[most] / max(self.path.work, 1e-12)
            return f"{share:.0%} of the run time was in {most!r}. {NOT_RECORDED}"
        found = self.bounds.sentence(self.trace.wall_time)
        if self.conclusive:
            return found
        return (
            f"Cannot conclude: other processes used {self.trace.foreign_load:.2f} cores meanwhile, and more than "
            f"{TOO_MUCH} spoils what is measured. Run it again when they are quiet. As far as can be told: {found}"
        )

    def to_dict(self) -> dict[str, Any]:
        trace, demand = self.trace, self.bounds.demand
        return {
            "flow": trace.flow_id,
            "job": trace.job_id,
            "verdict": self.sentence,
            "conclusive": self.conclusive,
            "recorded": self.recorded,
            "wall_time": trace.wall_time,
            "mode": trace.mode.value,
            "workers": trace.workers,
            "attempts": len(trace.attempts),
            "work": self.path.work,
            "span": self.path.span,
            "parallelism": self.path.parallelism,
            "bounds": {term.value: took for term, took in self.bounds.terms.items()},
            "binding": self.bounds.binding.value,
            "useful_workers": self.bounds.useful_workers,
            "job_time": _plain(self.accounts.job),
            "worker_time": _plain(self.accounts.workers),
            "engine_overhead": self.accounts.engine_overhead,
            "waits": [
                {"routine": who, "why": use.value, "seconds": took} for (who, use), took in self.accounts.waits.items()
            ],
            "routines": {
                who: {
                    "kind": verdict.kind.value,
                    "reason": verdict.reason,
                    "work": demand.work_by_routine.get(who, 0.0),
                    "path_share": self.path.shares.get(who, 0.0),
                }
                for who, verdict in self.verdicts.items()
            },
            "foreign_load": trace.foreign_load,
            "unknown": list(self.unknown),
        }

    def report(self) -> Report:
        return report(
            self.sentence,
            self._summary(),
            self._account("What the workers' time went into", self.accounts.workers),
            self._account("What the job waited for, from its end back to its start", self.accounts.job),
            self._routines(),
            self._waits(),
            self._rest(),
        )

    def _summary(self) -> str:
        trace, path = self.trace, self.path
        workers = counted(trace.workers, "worker")
        return (
            f"Flow {trace.flow_id!r}: {seconds(trace.wall_time)} in {trace.mode.value} mode with {workers}, "
            f"{counted(len(trace.attempts), 'attempt')}.\n"
            f"Work {seconds(path.work)}, critical path {seconds(path.span)}, "
            f"so {path.parallelism:.1f} workers could be kept busy."
        )

    def _account(self, title: str, account: Account) -> Table:
        whole = max(account.total, 1e-12)
        named: dict[str, float] = {}
        for (who, use), took in sorted(account.seconds.items(), key=lambda item: item[1], reverse=True):
            little = took < LITTLE * whole
            name = "in handlers" if use is Use.PYTHON and not self.recorded else use.value
            what = "all else" if little else name if who == NOBODY else f"{name}: {who}"
            named[what] = named.get(what, 0.0) + took
        rows = [(what, seconds(took), f"{took / whole:.1%}", bar(took / whole)) for what, took in named.items()]
        if not account.complete:
            rest = account.unexplained
            rows.append(("unexplained", seconds(rest), f"{rest / whole:.1%}", bar(rest / whole)))
        rows.append(("all", seconds(account.total), "100.0%", ""))
        return table(title, ("what", "time", "share", ""), rows)

    def _routines(self) -> Table:
        counts = Counter(attempt.routine_id for attempt in self.trace.attempts)
        work = self.bounds.demand.work_by_routine
        rows = [
            (
                who,
                f"{counts[who]:,}",
                seconds(took / counts[who]),
                f"{took / max(self.path.work, 1e-12):.0%}",
                f"{self.path.shares.get(who, 0.0):.0%}",
                str(self.verdicts[who]) if self.recorded else Kind.NOT_SURE.value,
            )
            for who, took in work.items()
        ]
        return table("Routines", ("routine", "attempts", "each", "of the work", "of the path", "bound by"), rows)

    def _waits(self) -> Table:
        ranked = sorted(self.accounts.waits.items(), key=lambda item: item[1], reverse=True)[:MOST_WAITS]
        counts = Counter(attempt.routine_id for attempt in self.trace.attempts)
        rows = [(who, use.value, seconds(took), seconds(took / counts[who])) for (who, use), took in ranked]
        return table("What activations waited for, side by side", ("routine", "because", "all", "each"), rows)

    def _rest(self) -> str:
        attempts = max(1, len(self.trace.attempts))
        overhead = self.accounts.engine_overhead
        foreign = self.trace.foreign_load
        load = "is not known" if foreign is None else f"was {foreign:.2f} cores"
        lines = [
            f"Engine: {seconds(overhead)} of worker time, {seconds(overhead / attempts)} an attempt.",
            f"Foreign load {load}.",
        ]
        return "\n".join([*lines, *self.unknown])


def explain_trace(trace: Trace, unknown: tuple[str, ...] = (), *, recorded: bool = True) -> Explanation:
    """Explains the job of a trace; `unknown` are sentences about what the trace lacks."""
    demand = demand_of(trace)
    found = bounds_of(trace, demand)
    missing = list(unknown)
    if recorded and trace.foreign_load is None:
        missing.append("What other processes used is not known: the job was too short, or there is no /proc.")
    verdicts = verdicts_of(trace)
    return Explanation(
        trace, accounts_of(trace), critical_path(trace), found, verdicts, tuple(missing), recorded=recorded
    )


def _plain(account: Account) -> dict[str, Any]:
    return {
        "total": account.total,
        "unexplained": account.unexplained,
        "parts": [{"routine": who, "use": use.value, "seconds": took} for (who, use), took in account.seconds.items()],
    }
