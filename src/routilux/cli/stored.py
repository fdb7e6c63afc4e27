"""Stored jobs as a person and a program read them: a list of many, the account of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from routilux.advice.report import Report, report, seconds, table
from routilux.durable.account import Account, Rest, RestKind, Tally
from routilux.plurals import counted
from routilux.stores.owner import Owner
from routilux.stores.port import StoredJob

LONGEST = 200
"""Letters of a payload or a message that are printed."""

_WORDS = {
    RestKind.BEGUN: "had begun, and has not ended",
    RestKind.RETRY: "is tried again",
    RestKind.OPEN: "is a generator that has not ended",
}
_HEADS = ("routine", *Tally.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Listed:
    """Jobs of a store, newest first."""

    jobs: Sequence[StoredJob]
    more: bool

    def to_dict(self) -> dict[str, Any]:
        """What is known of each without reading its entries."""
        return {"jobs": [told(one) for one in self.jobs], "more": self.more}

    def report(self) -> Report:
        """A table."""
        rows = [
            (one.job_id, one.flow_id, one.key or "", one.status, moment(one.created_at), moment(one.changed_at))
            for one in self.jobs
        ]
        heads = ("job", "flow", "key", "status", "submitted", "last entry")
        return report(
            table("Jobs", heads, rows) if rows else "No jobs.",
            "There are more: see --limit." if self.more else None,
        )


@dataclass(frozen=True, slots=True)
class Described:
    """One job, with its payloads if that was asked."""

    account: Account
    payloads: bool
    owner: Owner | None
    """Who has opened the store and not closed it."""

    def to_dict(self) -> dict[str, Any]:
        """All that its entries say."""
        account = self.account
        found = {
            **told(account.stored),
            "status": account.status,
            "entries": account.stored.entries,
            "entry": account.entry,
            "mode": account.mode,
            "pickles": account.pickles,
            "opened": [moment(one) for one in account.openings],
            "routines": {routine_id: asdict(tally) for routine_id, tally in account.tallies.items()},
            "failures": [{**asdict(one), "at": moment(one.at)} for one in account.troubles],
            "failure_count": account.trouble_count,
            "rests": [{**asdict(one), "at": moment(one.at)} for one in account.rests.values()],
            "paused": None if account.paused_at is None else moment(account.paused_at),
            "cancelled_for": account.cancelled_for,
            "damage": account.damage,
        }
        if self.payloads:
            found["params"] = account.params
            found["results"] = {routine_id: list(values) for routine_id, values in account.results.items()}
        return found

    def report(self) -> Report:
        """Where it stands, what was done, what went wrong, what it waits for."""
        account, stored = self.account, self.account.stored
        began, keyed = moment(stored.created_at), "" if stored.key is None else f", key {stored.key!r}"
        took = seconds((stored.changed_at - stored.created_at) / 1e9)
        rows = [(name or "?", *map(str, asdict(tally).values())) for name, tally in account.tallies.items()]
        troubles = [
            f"{moment(one.at)}  {one.routine_id or '?'} (activation {one.activation_id}, attempt {one.attempt}): "
            f"{short(one.message)}"
            + (f" at {one.where}" if one.where else "")
            + (f" [{one.decision}]" * bool(one.decision))
            for one in account.troubles
        ]
        hidden = account.trouble_count - len(troubles)
        return report(
            f"Job {stored.job_id} of flow {stored.flow_id!r}: {account.status}.",
            f"Submitted {began} to {account.entry!r}{keyed}, mode {account.mode or '?'}; "
            f"{counted(stored.entries, 'entry')}, the last {took} later. "
            f"Opened {counted(len(account.openings), 'time')}.",
            "Its flow allowed pickles: whoever has it go on runs what they say." if account.pickles else None,
            table("Attempts", _HEADS, rows),
            "\n".join(["Failures:", *troubles, *([f"... and {hidden:,} before these"] if hidden else [])])
            if troubles
            else None,
            "\n".join(self._waits()),
            self._bodies() if self.payloads else None,
            None if account.damage is None else f"Not all of it can be read. {account.damage}",
        )

    def _waits(self) -> list[str]:
        account = self.account
        if account.is_over:
            return []
        lines = [_rest(one) for one in list(account.rests.values())[:20]]
        if account.paused_at is not None:
            lines.insert(0, f"It was paused {moment(account.paused_at)}: `jobs resume` with its id has it go on.")
        if account.stopped_at is not None:
            lines.insert(0, "A failure has stopped it: whoever recovers it will find it failed.")
        if self.owner is None:
            return [*lines, "No process has the store: `routilux jobs resume module:flow` has it go on."]
        return [*lines, f"The store was opened by {self.owner}, and not closed since: the job may run there."]

    def _bodies(self) -> str:
        account = self.account
        given = [f"{name} = {_json(value)}" for name, value in account.params.items()]
        left = [f"{name or '?'}: {_json(value)}" for name, values in account.results.items() for value in values]
        return "\n".join(["Given:", *given, "Left the flow last:" if left else "", *left]).rstrip()


def told(stored: StoredJob) -> dict[str, Any]:
    """What is known of a job without reading its entries."""
    return {
        "job": stored.job_id,
        "flow": stored.flow_id,
        "key": stored.key,
        "status": stored.status,
        "submitted": moment(stored.created_at),
        "last_entry": moment(stored.changed_at),
    }


def moment(at: int) -> str:
    """A moment in nanoseconds since the epoch, in UTC to the second."""
    try:
        return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return f"{at} ns"


def short(text: str) -> str:
    """At most `LONGEST` letters."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _rest(one: Rest) -> str:
    when = f" at {moment(one.at)} (attempt {one.attempt})" if one.kind is RestKind.RETRY else ""
    return f"{one.routine_id or '?'} (activation {one.activation_id}) {_WORDS[one.kind]}{when}."


def _json(value: Any) -> str:
    return short(msgspec.json.encode(value).decode())
