"""The process that the crash demo kills: it runs, or goes on with, the one examination of a store."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from routilux.api import Flow
from routilux.demo.examination import build_flow
from routilux.execution_mode import ExecutionMode

KEY = "examination"


@dataclass(frozen=True, slots=True)
class EffectLog:
    """One line for each time a handler began with a file; a line is whole whatever happens next."""

    path: Path

    def __call__(self, routine_id: str, file: str) -> None:
        line = f"{routine_id} {file!a}\n".encode()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def lines(self) -> list[str]:
        """All that was written."""
        return self.path.read_text(encoding="ascii").splitlines() if self.path.exists() else []


@dataclass(frozen=True, slots=True)
class Stored:
    """One examination that is kept in a folder."""

    folder: Path
    directory: Path
    mode: ExecutionMode
    limit: int | None
    max_workers: int | None

    @property
    def store(self) -> Path:
        """The file of its store."""
        return self.folder / "jobs.db"

    @property
    def effects(self) -> EffectLog:
        """What its handlers did."""
        return EffectLog(self.folder / "effects")

    def flow(self) -> Flow:
        """The flow, with the store."""
        return build_flow(self.effects, execution_mode=self.mode, max_workers=self.max_workers, store=self.store)

    def arguments(self) -> list[str]:
        """What another process needs to know of it."""
        return [str(self.folder), str(self.directory), self.mode, str(self.limit or ""), str(self.max_workers or "")]

    @classmethod
    def of(cls, arguments: list[str]) -> Stored:
        """That of some arguments."""
        folder, directory, mode, *counts = arguments
        limit, max_workers = (int(count) if count else None for count in counts)
        return cls(Path(folder), Path(directory), ExecutionMode(mode), limit, max_workers)


def main(arguments: list[str]) -> None:
    """Runs it to its end, whatever an earlier process left of it."""
    stored = Stored.of(arguments)
    with stored.flow() as flow:
        job = flow.start("walk", {"directory": stored.directory, "limit": stored.limit}, key=KEY)
        print("running", flush=True)
        job.wait()
        job.raise_for_status()


if __name__ == "__main__":
    main(sys.argv[1:])
