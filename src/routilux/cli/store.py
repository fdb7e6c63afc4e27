"""`routilux store`: whether a store is whole, a copy of what is, and what stands around it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.types import ExistingFile

from routilux.advice.report import Report, report, table
from routilux.cli.diagnosed import Diagnosed
from routilux.cli.exit_codes import ExitCode
from routilux.cli.options import Json, journal_key
from routilux.cli.place import Place
from routilux.cli.shown import show
from routilux.plurals import counted
from routilux.stores import check as checking
from routilux.stores.check import Repair
from routilux.stores.findings import Damage, Findings
from routilux.stores.opening import check as found_in
from routilux.stores.opening import doctor as diagnose

EXAMPLES = """\
Examples:
  routilux store check jobs.db               Is everything what was written?
  routilux store repair jobs.db whole.db     A copy of what is; jobs.db stays as it is
  routilux store doctor jobs.db              The disk, SQLite, permissions, sizes, who has it
  routilux store doctor postgresql://jobs@db.example.com/company?namespace=shop
Exit codes: 0 all is well, 2 called wrongly, 4 something is damaged, 5 in use, 8 the store cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check or a repair found, for show."""

    headline: str
    damages: tuple[Damage, ...]
    found: Findings | Repair

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self.found)

    def report(self) -> Report:
        """What is whole, and what is not."""
        rows = [(one.job_id or "", "" if one.seq is None else str(one.seq), one.message) for one in self.damages]
        missing = self.found.missing_blobs if isinstance(self.found, Findings) else ()
        orphaned = self.found.orphaned_blobs if isinstance(self.found, Findings) else ()
        return report(
            self.headline,
            table("Damage", ("job", "from entry", "what"), rows),
            "\n".join(["Large values that are gone or damaged:", *missing]) if missing else None,
            f"{counted(len(orphaned), 'file')} that no entry names will be removed by and by." if orphaned else None,
        )


def store_app() -> App:
    """The commands on the file of a store."""
    app = App("store", help="Check, repair and look at a store of jobs.", help_epilogue=EXAMPLES)
    for command in (check, repair, doctor):
        app.command(command, help_epilogue=EXAMPLES)
    return app


def check(store: Place, /, *, as_json: Json = False) -> int:
    """Read all of a store, and say whether it is what was written. It may be in use meanwhile.

    Parameters
    ----------
    store
        The store: its file, or its address on a server.
    as_json
        Print JSON.
    """
    found = found_in(store, journal_key=journal_key())
    counts = f"{counted(found.jobs, 'job')} with {counted(found.entries, 'entry')}"
    show(Checked(f"{'Whole' if found.whole else 'DAMAGED'}: {counts}.", found.damages, found), as_json=as_json)
    return ExitCode.DONE if found.whole else ExitCode.DAMAGED


def repair(store: ExistingFile, into: Path, /, *, as_json: Json = False) -> int:
    """Copy what is whole of each job into a new store, and list what is not; the old one stays as it is.

    Parameters
    ----------
    store
        The file of the store.
    into
        The file of the new one, which must not exist.
    as_json
        Print JSON.
    """
    if into.exists():
        print(f"routilux: {into} exists already. Give the path of a file that does not.", file=sys.stderr)
        return ExitCode.WRONG
    found = checking.repair(store, into, journal_key=journal_key())
    counts = f"{counted(found.jobs, 'job')} with {counted(found.entries, 'entry')}"
    show(Checked(f"Copied to {into}: {counts}.", found.affected, found), as_json=as_json)
    return ExitCode.DAMAGED if found.affected else ExitCode.DONE


def doctor(store: Place, /, *, as_json: Json = False) -> int:
    """Look at what stands around a store: the disk or the server, permissions, sizes, its owner.

    Parameters
    ----------
    store
        The file of the store, or the address of one on a server; leave the password to PGPASSWORD or a password file.
    as_json
        Print JSON.
    """
    show(Diagnosed(diagnose(store)), as_json=as_json)
    return ExitCode.DONE
