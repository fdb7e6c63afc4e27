"""The `with` block of a flow: as long as it is open, the jobs of the flow share the workers of one engine."""

from __future__ import annotations

import threading
from collections.abc import Callable

from routilux.engine import Engine
from routilux.errors import FlowBusyError


class Block:
    """Of one flow, whether or not it is open."""

    def __init__(self, flow_id: str) -> None:
        self._flow_id = flow_id
        self.engine: Engine | None = None
        """What its jobs run on, while it is open."""
        self.loop_ident: int | None = None
        """The thread of the event loop that it is open in, if it is an `async with` block."""

    def enter(self, new_engine: Callable[[], Engine], *, awaited: bool = False) -> None:
        """The block begins; raises `FlowBusyError` if it is open."""
        if self.engine is not None:
            raise FlowBusyError(f"Flow {self._flow_id!r} is open already; a `with` block cannot be nested in itself.")
        self.engine = new_engine()
        self.loop_ident = threading.get_ident() if awaited else None

    def leave(self) -> Engine | None:
        """The block ends; gives its engine, for whoever closes it."""
        engine, self.engine, self.loop_ident = self.engine, None, None
        return engine
