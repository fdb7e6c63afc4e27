"""A diagnosis of what stands around a store, in a file or on a server, as a person and a program read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from routilux.advice.report import Report, report, table
from routilux.stores.doctor import Diagnosis, ServerDiagnosis


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """For show."""

    diagnosis: Diagnosis | ServerDiagnosis

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        found = self.diagnosis
        owner = None if found.owner is None else found.owner._asdict()
        return {**asdict(found), "owner": owner, "flush_is_honest": found.flush_is_honest}

    def report(self) -> Report:
        """What is known, and what is strange."""
        found = self.diagnosis
        return _of_file(found) if isinstance(found, Diagnosis) else _of_server(found)


def _of_file(found: Diagnosis) -> Report:
    return report(
        f"SQLite {found.sqlite_version}; a flush takes {found.flush_seconds * 1e6:,.0f} µs; "
        + ("closed." if found.owner is None else f"opened by {found.owner}."),
        table("Files", ("name", "bytes"), [(name, f"{size:,}") for name, size in found.sizes.items()]),
        _keyed(found.keyed),
        "\n".join(_strange_file(found)),
    )


def _strange_file(found: Diagnosis) -> list[str]:
    strange = []
    if not found.flush_is_honest:
        strange.append("No disk flushes as fast as that: what was acknowledged may be lost with the power.")
    if found.wal_reset_bug:
        strange.append(
            "This SQLite has a bug that damages a file to which two connections write: let no other program write."
        )
    if found.open_to_others:
        strange.append(f"Other users of this machine may open {', '.join(found.open_to_others)}: see chmod.")
    return strange


def _of_server(found: ServerDiagnosis) -> Report:
    commit = "could not be tried" if found.commit_seconds is None else f"takes {found.commit_seconds * 1e6:,.0f} µs"
    settings = ", ".join(f"{name} = {value}" for name, value in found.settings.items())
    return report(
        f"{found.place}: PostgreSQL {found.server_version}; an answer takes {found.round_trip_seconds * 1e6:,.0f} "
        f"µs, a durable commit {commit}; "
        + ("closed." if found.owner is None else f"opened by {found.owner}{_served(found)}."),
        f"{settings}; standbys: {found.standbys or 'none'}. Role {found.role}, sslmode {found.sslmode}, "
        f"{'encrypted' if found.encrypted else 'not encrypted'}. {_keyed(found.keyed)}",
        table("Tables", ("name", "bytes"), [(name, f"{size:,}") for name, size in found.sizes.items()]),
        "\n".join(_strange_server(found)),
    )


def _served(found: ServerDiagnosis) -> str:
    served_by = found.served_by
    return ", who has gone" if served_by is None else f", served by the server's process {served_by}"


def _strange_server(found: ServerDiagnosis) -> list[str]:
    strange = []
    if not found.flush_is_honest:
        strange.append(
            "What is acknowledged may be lost with the server's power: fsync or full_page_writes is off, or no "
            "disk is as fast."
        )
    if found.superuser:
        strange.append(f"The role {found.role} may do anything on this server: give the store one of its own.")
    if not found.writable:
        strange.append(f"The role {found.role} may read the store, but not write to it.")
    if found.open_to_others:
        strange.append(f"Others were granted rights: {'; '.join(found.open_to_others)}.")
    return strange


def _keyed(keyed: bool | None) -> str:
    return "Made with a journal key." if keyed else "Made without a journal key." if keyed is False else ""
