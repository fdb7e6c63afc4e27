"""The definition of a flow: its routines and the connections between them.

A definition knows nothing of jobs, threads, time or modes. What can be known to be wrong with one thing
alone is refused when it is added; what only the whole shows is refused by `checks` before a job starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, Unpack, overload

from routilux import hints
from routilux.errors import (
    ConnectionMismatchError,
    DefinitionError,
    DuplicateRoutineError,
    FlowBusyError,
    SettingError,
    UnknownPortError,
    UnknownRoutineError,
)
from routilux.firing import AllSlots, Keyed
from routilux.options import OptionArguments, Options
from routilux.plurals import counted
from routilux.routine import Routine, routine
from routilux.slots import ERROR, Event, Slot
from routilux.suggestions import nearest

RoutineLike: TypeAlias = Routine | type[Routine] | Callable[..., Any]
"""A routine, a `Routine` subclass that needs no arguments, or a plain function."""

Field: TypeAlias = str | int


class Connection(NamedTuple):
    """An arrow from an event to a slot; with `field` it carries only that part of what is emitted."""

    source: str
    event: str
    target: str
    slot: str
    field: Field | None = None

    def __str__(self) -> str:
        field = "" if self.field is None else f" [{self.field!r}]"
        return f"{self.source}.{self.event}{field} -> {self.target}.{self.slot}"


class Member(NamedTuple):
    """A routine in a flow: the definition and the options that hold for it here."""

    id: str
    routine: Routine
    options: Options


class FlowDefinition:
    """Routines and connections, and the questions one may ask about them."""

    def __init__(self, flow_id: str, limits: Mapping[str, int | str] | None = None) -> None:
        if not isinstance(flow_id, str) or not flow_id:
            raise DefinitionError(f"flow_id must be a text that is not empty, not {flow_id!r}.")
        if limits is not None and not isinstance(limits, Mapping):
            raise SettingError(f"limits must be a mapping from names to numbers or rates, not {limits!r}.")
        self.flow_id = flow_id
        self.limits: Mapping[str, int | str] = dict(limits or {})
        """What routines may share: by name how many at once, or a rate as "10/s"."""
        self._members: dict[str, Member] = {}
        self._connections: list[Connection] = []
        self.version = 0
        """Counts the changes."""

    @property
    def routines(self) -> Mapping[str, Member]:
        """The routines by id, in the order in which they were added."""
        return dict(self._members)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections, in the order in which they were made."""
        return tuple(self._connections)

    def add_routine(
        self, added: RoutineLike, routine_id: str | None = None, /, **options: Unpack[OptionArguments]
    ) -> str:
        """Adds a routine and gives its id, which defaults to the function's or class's name.

        The options override those that the routine was defined with, for this place in this flow.
        """
        self._check_idle("add_routine")
        definition = self._routine_of(added)
        identity = definition.name if routine_id is None else routine_id
        if not isinstance(identity, str) or not identity:
            raise DefinitionError(f"Flow {self.flow_id!r}: a routine's id must be a text, not {identity!r}.")
        if identity in self._members:
            raise DuplicateRoutineError(
                f"Flow {self.flow_id!r} has a routine {identity!r} already. Give this one an id of its own: "
                f'add_routine(..., "{identity}_2").'
            )
        if not definition.handlers:
            raise DefinitionError(
                f"Flow {self.flow_id!r}, routine {identity!r}: it has no handler, so nothing could ever run. "
                "Give it one with define_slot(name, handler=...) in __init__."
            )
        self._members[identity] = Member(identity, definition, definition.options.updated(options))
        self.version += 1
        return identity

    @overload
    def connect(
        self, source: str | RoutineLike, target: str | RoutineLike, /, *, field: Field | None = ...
    ) -> None: ...
    @overload
    def connect(
        self,
        source: str | RoutineLike,
        event: str,
        target: str | RoutineLike,
        slot: str,
        /,
        *,
        field: Field | None = ...,
    ) -> None: ...
    def connect(self, *ends: Any, field: Field | None = None) -> None:
        """Connects an event to a slot: `connect("a", "output", "b", "x")`.

        `connect("a", "b")` is enough where `a` has one event and `b` one slot (or one without a default).
        Either end may be an id or the routine itself, which is added if it is not in the flow yet.
        With `field` the connection carries that item (of a mapping), position or attribute of each emission.
        """
        self._check_idle("connect")
        if len(ends) not in (2, 4):
            raise DefinitionError(
                f"Flow {self.flow_id!r}: connect takes a source and a target, or source, event, target, slot; "
                f"it got {len(ends)} names."
            )
        self._connect(ends, field, "connect({}, {})", "")

    def _connect(self, ends: Sequence[Any], field: Field | None, call: str, rest: str) -> None:
        """`call` is how the two routines are shown in messages, `rest` what remains to do in place of it."""
        source = self._id_of(ends[0])
        target = self._id_of(ends[-1] if len(ends) == 2 else ends[2])
        pair = f"Flow {self.flow_id!r}: {call.format(repr(source), repr(target))}"
        instead = f"Write connect({source!r}, EVENT, {target!r}, SLOT){rest}."
        event = self._sole_event(source, pair, instead) if len(ends) == 2 else self._event(source, ends[1])
        slot = self._sole_slot(target, pair, instead) if len(ends) == 2 else self._slot(target, ends[3])
        connection = Connection(source, event.name, target, slot.name, field)
        if connection in self._connections:
            raise DefinitionError(f"Flow {self.flow_id!r}: {connection} is connected already.")
        self._check_types(connection, event, slot)
        self._connections.append(connection)
        self.version += 1

    def chain(self, *steps: str | RoutineLike) -> None:
        """Connects routines one after another, each with the next as `connect` does."""
        self._check_idle("chain")
        for pair in pairwise(steps):
            self._connect(pair, None, "chain(..., {}, {}, ...)", " and chain what comes before and after it")

    def _routine_of(self, added: RoutineLike) -> Routine:
        if isinstance(added, Routine):
            return added
        if isinstance(added, type) and issubclass(added, Routine):
            return added()
        if not callable(added):
            raise DefinitionError(
                f"Flow {self.flow_id!r}: {added!r} is no routine. Add a function, or an instance of a Routine subclass."
            )
        return routine(added)

    def _id_of(self, end: str | RoutineLike) -> str:
        if isinstance(end, str):
            if end not in self._members:
                raise UnknownRoutineError(f"Flow {self.flow_id!r} has no routine {end!r}.{nearest(end, self._members)}")
            return end
        ids = [
            member.id
            for member in self._members.values()
            if end in (member.routine, getattr(member.routine, "__wrapped__", None), type(member.routine))
        ]
        if len(ids) > 1:
            raise UnknownRoutineError(
                f"Flow {self.flow_id!r}: {end!r} was added as {', '.join(ids)}; name one of them."
            )
        return ids[0] if ids else self.add_routine(end)

    def _event(self, source: str, name: str) -> Event:
        events = self._members[source].routine.events
        if name == ERROR:
            return Event(ERROR)
        if name not in events:
            raise UnknownPortError(
                f"Flow {self.flow_id!r}, routine {source!r}: it has no event {name!r}.{nearest(name, [*events, ERROR])}"
            )
        return events[name]

    def _slot(self, target: str, name: str) -> Slot:
        slots = self._members[target].routine.slots
        if name not in slots:
            raise UnknownPortError(
                f"Flow {self.flow_id!r}, routine {target!r}: it has no slot {name!r}.{nearest(name, slots)}"
            )
        return slots[name]

    def _sole_event(self, source: str, pair: str, instead: str) -> Event:
        events = self._members[source].routine.events
        if len(events) == 1:
            return next(iter(events.values()))
        names = ", ".join(map(repr, events)) or "none"
        raise ConnectionMismatchError(
            f"{pair} is ambiguous, because {source!r} has {len(events)} events ({names}). {instead}"
        )

    def _sole_slot(self, target: str, pair: str, instead: str) -> Slot:
        slots = list(self._members[target].routine.slots.values())
        for candidates in (slots, [slot for slot in slots if slot.required]):
            if len(candidates) == 1:
                return candidates[0]
        names = ", ".join(repr(slot.name) for slot in slots) or "none"
        raise ConnectionMismatchError(
            f"{pair} is ambiguous, because {target!r} has {len(slots)} slots ({names}). {instead}"
        )

    def _check_types(self, connection: Connection, event: Event, slot: Slot) -> None:
        handler = next(one for one in self._members[connection.target].routine.handlers if slot in one.slots)
        taken = slot.annotation
        if not isinstance(handler.rule, (AllSlots, Keyed)):
            taken = hints.list_item_of(taken)
        if connection.field is None and not hints.fits(event.annotation, taken):
            raise ConnectionMismatchError(
                f"Flow {self.flow_id!r}: {connection} does not fit: {connection.event!r} gives "
                f"{hints.name_of(event.annotation)}, and {connection.slot!r} takes {hints.name_of(taken)}. "
                "Convert in between, correct an annotation, or carry one field of it with field=..."
            )
        if not handler.signature.parameters and not handler.signature.takes_any_name:
            raise ConnectionMismatchError(
                f"Flow {self.flow_id!r}: {connection} cannot deliver, because the handler of {connection.slot!r} takes "
                "no parameter. Give it one."
            )

    def _check_idle(self, change: str) -> None:
        jobs = self._jobs_under_way()
        if jobs:
            raise FlowBusyError(
                f"Flow {self.flow_id!r}: {change} would change the flow under {counted(jobs, 'running job')}. "
                "Wait for the end, or build another flow."
            )

    def _jobs_under_way(self) -> int:
        """How many jobs rely on the definition now; a mere definition has none."""
        return 0
