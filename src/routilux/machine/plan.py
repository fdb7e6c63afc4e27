"""A flow compiled for one entry: all that does not change from activation to activation.

Shared by every job of the flow that starts at that entry with the same names; holds nothing of any job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.firing import AllSlots, FiringRule
from routilux.strategies import ErrorStrategy


@dataclass(slots=True, eq=False)
class Station:
    """One handler of one routine: where messages arrive and activations fire."""

    index: int
    routine_id: str
    call: Callable[..., Any]
    """Calls the handler with one positional argument for each of `names`, and the context where it takes one."""
    names: tuple[str, ...]
    """The slots whose messages make the arguments, in order."""
    holds: frozenset[str]
    """Those of them that keep their last message."""
    defaults: Mapping[str, Any]
    """What stands for a slot of the entry that has a default and is given nothing."""
    rule: FiringRule
    keys: tuple[Callable[[Any], Any], ...]
    """Of a keyed join: what reads the key of each slot's messages."""
    events: frozenset[str]
    declares_output: bool
    is_generator: bool
    is_async: bool
    needs_context: bool
    context_name: str | None
    strategy: ErrorStrategy | None
    timeout_ns: int | None
    limit: int | None
    """How many of its activations may run at once in one job."""
    needs: tuple[str, ...]
    """What each of its activations takes of the limits that jobs share."""
    keeps_state: bool
    crash_retries: int
    mode: ExecutionMode
    """Where its handler runs."""
    at_home: bool
    """Whether that is the job's own mode."""
    on_cycle: bool
    rank: int
    """Smaller than that of every station downstream."""
    closes: str | None
    """The routine whose fan-outs it gathers."""
    fans_out: bool
    """Whether some station gathers what comes of one of its activations."""
    outputs: dict[str, tuple[Target, ...]] = field(default_factory=dict)
    plain: bool = False
    """Whether the job's own driver may just call it and look at the value (await it, on an event loop): it has no
    context, generator, limit, timeout or scope, and does not run elsewhere."""
    pulled: bool = False
    """The same for generators that are not on a cycle: whether a driver may just ask one for its next value."""
    stays: frozenset[str] = frozenset()
    """The events whose emissions go, as they are, only to routines of the same mode."""
    recorded: bool = False
    """Whether each attempt is measured, for which it takes the way of those that need care."""
    successor: Station | None = None
    """Set where the one thing that follows a value is that this plain station fires with it."""
    folded: bool = False
    """Whether it stands in for a station, for a page of activations that are not made yet."""

    limited: bool = field(init=False)
    """Whether its activations may have to wait although a worker is free."""
    unhindered: bool = field(init=False)
    """Whether they need nothing but a free worker, and no timer."""
    direct: bool = field(init=False)
    """Whether one message is all it takes to fire."""

    joins: bool = field(init=False)
    """Whether every one of several slots must hold a message, and none keeps its own."""

    def __post_init__(self) -> None:
        self.limited = self.limit is not None or bool(self.needs) or self.folded
        self.unhindered = not self.limited and self.timeout_ns is None
        self.direct = isinstance(self.rule, AllSlots) and len(self.names) == 1 and not self.holds
        self.joins = isinstance(self.rule, AllSlots) and not (self.direct or self.holds)


_IN_THREAD = frozenset({ExecutionMode.SEQUENTIAL})


class Target(NamedTuple):
    """Where an emission goes: a slot of a station, and what is read of it on the way."""

    station: Station
    position: int
    read: Callable[[Any], Any] | None
    slot: str
    source: str
    easy: bool
    """Whether each message fires, as it is, in the job's own mode: nothing is read, joined or gathered."""
    hoards: bool
    """Whether each message, as it is, only becomes one of a list of everything."""
    joins: bool
    """Whether each message, as it is, waits for one of every other slot."""

    @property
    def keeps(self) -> bool:
        """Whether a message reaches the handler as it was emitted, and nothing looks into it on the way."""
        return self.read is None and isinstance(self.station.rule, AllSlots) and not self.station.holds


class Plan(NamedTuple):
    """The stations of a flow, and those that the entry's params go to."""

    flow_id: str
    mode: ExecutionMode
    """That of the job."""
    modes: frozenset[ExecutionMode]
    """That of the job, and those of its routines."""
    in_use: frozenset[ExecutionMode]
    """Those of its routines."""
    stations: tuple[Station, ...]
    entries: tuple[Station, ...]
    routine_ids: tuple[str, ...]
    feeders: Mapping[tuple[int, int], tuple[str, ...]]
    """Of each station and slot position: the ids of the routines that feed it."""
    closers: Mapping[str, tuple[Station, ...]]
    """Of each routine whose fan-outs are gathered: the stations that gather them."""
    flushing: tuple[Station, ...]
    """The stations that are handed what they have when nothing else can run."""
    limits: Mapping[str, tuple[int | None, tuple[str, ...]]]
    """Of each limited routine: how many of its activations may run at once, and what each needs of shared limits."""
    rates: Mapping[str, str]
    """The rates among what routines need, by name, as they are written."""

    @property
    def in_thread(self) -> bool:
        """Whether all of it runs in sequence, in the thread of whoever asks."""
        return self.modes == _IN_THREAD

    @property
    def scoped(self) -> bool:
        """Whether some station gathers, so that messages carry their place in a fan-out."""
        return bool(self.closers)
