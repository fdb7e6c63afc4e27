"""Sending: what it takes to have activations run in other processes, tried with what really waited in a job's slots."""

from __future__ import annotations

from typing import NamedTuple


class Sending(NamedTuple):
    """What came of trying it."""

    refusal: str | None = None
    """What cannot be sent, and why; `None`: all that was tried can be."""
    seconds: float = 0.0
    """Of pickling what an activation is given, and about as long of reading it."""
