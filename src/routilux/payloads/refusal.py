"""A refusal on its way out of a value, which gathers the path to where it began."""

from __future__ import annotations

from routilux.errors import PayloadError


class RefusedError(Exception):
    """Raised where a value cannot be stored or read; each container that it leaves puts its step before the path."""

    def __init__(self, reason: str, kind: type[PayloadError] = PayloadError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.steps: list[str] = []

    def error(self) -> PayloadError:
        """What the user is told."""
        return self.kind(f"value{''.join(reversed(self.steps))}: {self.reason}")
