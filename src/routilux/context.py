"""What a handler may say and know while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from routilux.errors import EmissionError, SettingError, TransactionError
from routilux.facts import Statement
from routilux.suggestions import nearest
from routilux.transaction import Transaction

_NOTHING: Any = object()


class Context:
    """One attempt of one activation, seen from inside its handler.

    A function asks for it with a parameter annotated `Context`; a `Routine` subclass reaches it through
    `self`. It is valid until the attempt settles, in any thread the handler started.
    """

    __slots__ = (
        "_cancelled",
        "_emissions",
        "_events",
        "_room",
        "_statements",
        "activation_id",
        "attempt",
        "flow_id",
        "job_id",
        "routine_id",
        "state",
    )

    def __init__(
        self,
        flow_id: str,
        job_id: str,
        routine_id: str,
        activation_id: int,
        attempt: int,
        events: frozenset[str],
        state: dict[str, Any],
        cancelled: Callable[[], bool],
        room: int | None = None,
    ) -> None:
        """`room`: how many bytes may be written in transactions at once; `None` where there is no store."""
        self.flow_id = flow_id
        self.job_id = job_id
        self.routine_id = routine_id
        self.activation_id = activation_id
        self.attempt = attempt
        self.state = state
        """What this routine keeps within this job; one dict, shared by all its activations."""
        self._events = events
        self._cancelled = cancelled
        self._room = room
        self._emissions: list[tuple[str, Any]] | None = []
        self._statements: list[Statement] = []

    def emit(self, event: str, value: Any = _NOTHING, /, **items: Any) -> None:
        """Puts one value on an event; visible to others when this attempt settles, or at the next `yield`.

        `emit(event, value)` emits that value, `emit(event, name=value, ...)` one mapping.
        Raises `EmissionError` for an undeclared event, and after the attempt has settled.
        """
        if self._emissions is None:
            raise EmissionError(
                f"Flow {self.flow_id!r}, routine {self.routine_id!r}: emit({event!r}) came after the handler had "
                "ended, so nothing can carry it. Emit before it returns; wait in it for what another thread finds."
            )
        if event not in self._events:
            raise EmissionError(
                f"Flow {self.flow_id!r}, routine {self.routine_id!r}: it declares no event {event!r}."
                f"{nearest(event, self._events)} Declare it with events=[...] or define_event({event!r})."
            )
        if value is _NOTHING:
            value = items or None
        elif items:
            raise EmissionError(
                f"Flow {self.flow_id!r}, routine {self.routine_id!r}: emit({event!r}) got a value and named items. "
                "One emission is one value: give either."
            )
        self._emissions.append((event, value))

    def transaction(self) -> Transaction:
        """What is written to the database of the job's own store, exactly once, together with this attempt's outcome.

        ::

            with ctx.transaction() as sql:
                sql.execute("INSERT INTO orders VALUES (?, ?)", (order.id, order.amount))

        Nothing is executed while the handler runs. Raises `SettingError` if the job has no store.
        """
        if self._room is None:
            raise SettingError(
                f"Flow {self.flow_id!r}, routine {self.routine_id!r}: ctx.transaction() writes to the store of the "
                'job, and this job has none: Flow(..., store="jobs.db").'
            )
        return Transaction(f"Flow {self.flow_id!r}, routine {self.routine_id!r}", self._room, self._adopt)

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this activation, also after a crash, and for no other.

        For whatever outside remembers the keys that it has seen, so that an effect does not happen twice there.
        """
        return f"{self.job_id}/{self.activation_id}"

    @property
    def cancelled(self) -> bool:
        """Whether the job no longer wants this handler's outcome, so that it may return early."""
        return self._cancelled()

    def take_statements(self) -> list[Statement]:
        """What was written in transactions since the last call, for the driver."""
        statements, self._statements = self._statements, []
        return statements

    def take_emissions(self) -> list[tuple[str, Any]]:
        """What was emitted since the last call, for the driver."""
        emissions = self._emissions or []
        self._emissions = []
        return emissions

    def close(self) -> list[tuple[str, Any]]:
        """As `take_emissions`, at the attempt's end: no emission is taken after it."""
        emissions = self._emissions or []
        self._emissions = None
        return emissions

    def _adopt(self, statements: list[Statement]) -> None:
        if self._emissions is None:
            raise TransactionError(
                f"Flow {self.flow_id!r}, routine {self.routine_id!r}: a transaction ended after the handler had, so "
                "nothing can carry it. End it before the handler returns."
            )
        self._statements += statements


current_context: ContextVar[Context] = ContextVar("routilux_context")
"""The activation whose handler runs here; set by the drivers for routines that look at it."""
