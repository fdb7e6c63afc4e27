"""What looking through a whole store gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not what was written."""

    message: str
    job_id: str | None = None
    """`None` if it is not about one job, or the job's name is lost."""
    seq: int | None = None
    """The first entry that is bad or missing; 0 is the job's request."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    jobs: int
    entries: int
    """How many are whole."""
    damages: tuple[Damage, ...]
    missing_blobs: tuple[str, ...]
    """Large values that an entry names, and that are gone or damaged."""
    orphaned_blobs: tuple[str, ...]
    """Those that no entry names: harmless, and removed after an hour."""

    @property
    def whole(self) -> bool:
        """Whether nothing is lost."""
        return not self.damages and not self.missing_blobs
