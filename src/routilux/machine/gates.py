"""Gates: where the messages of one job wait at one station until its firing rule is met.

A gate is put into and taken from; it knows neither the job nor the clock nor who sent a message. No gate is an `ABC`:
of each message it is asked what kind of gate it came to, and that costs five times as much of those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from routilux.firing import Batch, Collect, Keyed
from routilux.guard import guarded
from routilux.machine.plan import Station
from routilux.machine.scopes import Place


class Message(NamedTuple):
    """A value that waits in a slot: who emitted it, and its place in a fan-out, if the flow has any."""

    value: Any
    cause: int
    place: Place | None


class Firing(NamedTuple):
    """What a gate lets through: the arguments of one activation, and the messages it consumed for them."""

    arguments: tuple[Any, ...]
    consumed: Sequence[Message]

    @property
    def last_cause(self) -> int:
        """The activation whose message came last; 0 where there is none."""
        return self.consumed[-1].cause if self.consumed else 0


class Gate:
    """The messages that wait at one station."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.generation = 0
        """Counts what was let through, so that a timer can tell that it is too late."""
        self.held: dict[int, Any] = {}
        """By slot position: the message of each slot that keeps its last one."""
        self._open = len(station.holds)

    def put(self, position: int, message: Message) -> Exception | None:
        """Adds a message to a slot; gives what the rule's own code raised about it, which is then not kept."""
        if self.station.names[position] in self.station.holds:
            self._open -= position not in self.held
            self.held[position] = message.value
            return None
        return self._put(position, message)

    def take(self) -> Firing | None:
        """The next activation's messages, if the rule is met."""
        if self._open:
            return None
        firing = self._take()
        self.generation += firing is not None
        return firing

    def _put(self, position: int, message: Message) -> Exception | None:
        raise NotImplementedError

    def _take(self) -> Firing | None:
        raise NotImplementedError

    def parked(self) -> dict[int, int]:
        """By slot position: how many messages wait there; all slots that fire, also the empty ones."""
        raise NotImplementedError

    def waiting(self) -> Iterator[tuple[int, Message]]:
        """All that waits here, by slot position, so that to put it in again gives the same."""
        raise NotImplementedError

    @property
    def hoarded(self) -> Sequence[Any]:
        """The values that wait here and are no messages any more."""
        return ()

    @property
    def is_simple(self) -> bool:
        """Whether what waits and what is held is all there is to know."""
        return True

    def resume(self, generation: int, held: Mapping[int, Any], hoarded: Sequence[Any]) -> None:
        """Is what another one was that had let so much through, but for the messages that waited there."""
        self.generation = generation
        self.held.update(held)
        self._open = len(self.station.holds) - len(self.held)

    def parked_in(self, position: int) -> int:
        """How many messages wait in one slot."""
        return self.parked().get(position, 0)

    def messages(self) -> list[Message]:
        """What waits here and is live in its scope."""
        raise NotImplementedError

    def values(self) -> Iterator[Any]:
        """All that waits here, and what is held."""
        yield from self.held.values()
        yield from (message.value for message in self.messages())

    @property
    def lacking(self) -> list[int]:
        """The positions of the slots that keep it from firing: empty ones, and held ones never filled."""
        names, holds = self.station.names, self.station.holds
        unfilled = [p for p, name in enumerate(names) if name in holds and p not in self.held]
        return unfilled + [position for position, count in self.parked().items() if not count]

    def _triggers(self) -> list[int]:
        names, holds = self.station.names, self.station.holds
        return [position for position, name in enumerate(names) if name not in holds]

    def _list_firing(self, messages: Sequence[Message]) -> Firing:
        """A firing that hands over one list, beside what is held."""
        values = [message.value for message in messages]
        arguments = tuple(self.held.get(position, values) for position in range(len(self.station.names)))
        return Firing(arguments, messages)


class FlushingGate(Gate):
    """A gate that hands over what it has when nothing else of the job can run."""

    def flush(self) -> Firing:
        """What there is, though the rule is not met."""
        raise NotImplementedError

    @property
    def wants_flush(self) -> bool:
        """Whether there is anything to flush."""
        raise NotImplementedError


class AllGate(Gate):
    """One message of every slot, in arrival order."""

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self._queues: dict[int, deque[Message]] = {position: deque() for position in self._triggers()}

    def join(self, position: int, message: Message) -> Firing | None:
        """As `put`, and then `take`, where no slot keeps its message: what mostly happens, at half the cost."""
        queue = self._queues[position]
        queue.append(message)
        # What waited there before was not enough, so one more of the same slot is not either.
        return self._joined() if len(queue) == 1 and all(self._queues.values()) else None

    def _put(self, position: int, message: Message) -> None:
        self._queues[position].append(message)

    def _take(self) -> Firing | None:
        return self._joined() if self._queues and all(self._queues.values()) else None

    def _joined(self) -> Firing:
        consumed = [queue.popleft() for queue in self._queues.values()]
        if not self.held:
            return Firing(tuple([message.value for message in consumed]), consumed)
        values = {**self.held, **{position: one.value for position, one in zip(self._queues, consumed, strict=True)}}
        return Firing(tuple(values[position] for position in range(len(self.station.names))), consumed)

    def parked(self) -> dict[int, int]:
        return {position: len(queue) for position, queue in self._queues.items()}

    def parked_in(self, position: int) -> int:
        return len(self._queues.get(position, ()))

    def messages(self) -> list[Message]:
        return [message for queue in self._queues.values() for message in queue]

    def waiting(self) -> Iterator[tuple[int, Message]]:
        return ((position, message) for position, queue in self._queues.items() for message in queue)


Partners: TypeAlias = tuple[Any, dict[int, deque[Message]]]
"""A key, and by slot position the messages that have it."""


class KeyedGate(Gate):
    """One message of every slot, all with the same key."""

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self._positions = self._triggers()
        self._waiting: dict[Any, Partners] = {}
        self._complete: deque[Partners] = deque()
        self._counts = dict.fromkeys(self._positions, 0)

    def _put(self, position: int, message: Message) -> Exception | None:
        read = self.station.keys[self._positions.index(position)]
        found, broken = guarded(lambda value: self._partners(read(value)), message.value)
        if broken is not None:
            broken.add_note(f"Reading the key of a message in slot {self.station.names[position]!r}.")
            return broken
        queues = found[1]
        queues[position].append(message)
        self._counts[position] += 1
        if len(queues[position]) <= min(len(queue) for queue in queues.values()):
            self._complete.append(found)
        return None

    def _partners(self, key: Any) -> Partners:
        """What waits for a key; runs the key's own `__hash__` and `__eq__`."""
        return self._waiting.setdefault(key, (key, {one: deque() for one in self._positions}))

    def _take(self) -> Firing | None:
        if not self._complete:
            return None
        key, queues = self._complete.popleft()
        consumed = {position: queue.popleft() for position, queue in queues.items()}
        if not any(queues.values()):
            guarded(self._waiting.pop, key)
        for position in self._positions:
            self._counts[position] -= 1
        arguments = tuple(
            consumed[position].value if position in consumed else self.held[position]
            for position in range(len(self.station.names))
        )
        return Firing(arguments, tuple(consumed.values()))

    def parked(self) -> dict[int, int]:
        return dict(self._counts)

    def parked_in(self, position: int) -> int:
        return self._counts.get(position, 0)

    def messages(self) -> list[Message]:
        return [message for _, message in self.waiting()]

    def waiting(self) -> Iterator[tuple[int, Message]]:
        for _, queues in self._waiting.values():
            yield from ((position, message) for position, queue in queues.items() for message in queue)

    @property
    def is_simple(self) -> bool:
        return not self._complete


class BatchGate(FlushingGate):
    """Lists of a fixed length, and a shorter one when it is flushed."""

    def __init__(self, station: Station, size: int) -> None:
        super().__init__(station)
        self._size = size
        self._queue: deque[Message] = deque()

    def _put(self, position: int, message: Message) -> None:
        self._queue.append(message)

    def _take(self) -> Firing | None:
        if len(self._queue) < self._size:
            return None
        return self._list_firing([self._queue.popleft() for _ in range(self._size)])

    def flush(self) -> Firing:
        messages = list(self._queue)
        self._queue.clear()
        self.generation += 1
        return self._list_firing(messages)

    @property
    def wants_flush(self) -> bool:
        return bool(self._queue) and not self._open

    def parked(self) -> dict[int, int]:
        return dict.fromkeys(self._triggers(), len(self._queue))

    def messages(self) -> list[Message]:
        return list(self._queue)

    def waiting(self) -> Iterator[tuple[int, Message]]:
        position = min(self._triggers(), default=0)
        return ((position, message) for message in self._queue)


class CollectGate(FlushingGate):
    """A list of everything, when it is flushed; the first time also of nothing."""

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self._values: list[Any] = []
        self._served = False

    def hoard(self, value: Any) -> None:
        """As `put`, of a value alone: all that need be done where nothing is held."""
        self._values.append(value)

    def _put(self, position: int, message: Message) -> None:
        self._values.append(message.value)

    def _take(self) -> Firing | None:
        return None

    def flush(self) -> Firing:
        values = self._values.copy()
        self._values.clear()
        self._served = True
        self.generation += 1
        return Firing(tuple(self.held.get(one, values) for one in range(len(self.station.names))), ())

    @property
    def wants_flush(self) -> bool:
        return (bool(self._values) or not self._served) and not self._open

    def parked(self) -> dict[int, int]:
        return dict.fromkeys(self._triggers(), len(self._values))

    def messages(self) -> list[Message]:
        return []

    def waiting(self) -> Iterator[tuple[int, Message]]:
        return iter(())

    @property
    def hoarded(self) -> Sequence[Any]:
        return self._values

    def resume(self, generation: int, held: Mapping[int, Any], hoarded: Sequence[Any]) -> None:
        super().resume(generation, held, hoarded)
        self._values.extend(hoarded)
        self._served = generation > 0

    def values(self) -> Iterator[Any]:
        yield from self.held.values()
        yield from self._values


def make_gate(station: Station) -> Gate:
    """The gate for a station's firing rule."""
    match station.rule:
        case Keyed():
            return KeyedGate(station)
        case Batch(size=size):
            return BatchGate(station, size)
        case Collect():
            return CollectGate(station)
    return AllGate(station)
