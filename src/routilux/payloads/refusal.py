"""A refusal on its way out of a value, which gathers the path to where it began."""

from __future__ import annotations

from routilux.errors import PayloadError
from routilux.payloads.forms import MAX_DEPTH, MAX_ITEMS


class RefusedError(Exception):
    """Raised where a value cannot be stored or read; each container that it leaves puts its step before the path."""

    def __init__(self, reason: str, kind: type[PayloadError] = PayloadError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.steps: list[str] = []

    def error(self, root: str) -> PayloadError:
        """What the user is told; `root` is what the value itself is called."""
        return self.kind(f"{root}{''.join(reversed(self.steps))}: {self.reason}")


def too_many() -> RefusedError:
    """There is more in a value than is sensible."""
    return RefusedError(f"it has more than {MAX_ITEMS:,} items.")


def too_deep() -> RefusedError:
    """A value goes deeper than is sensible."""
    return RefusedError(f"it is more than {MAX_DEPTH} levels deep, or contains itself.")
