"""Packs batches: which recipes and values travel with the orders, and what cannot travel at all."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from routilux.drivers.cluster.attempts import Attempt, Batch
from routilux.drivers.cluster.port import Cluster, ClusterParcel
from routilux.drivers.cluster.travel import Enclosed, Letter
from routilux.drivers.far import Order, pack, unsendable
from routilux.drivers.lesson import pack_recipe
from routilux.errors import UnsendableError, WorkerLostError
from routilux.guard import guarded
from routilux.machine.plan import Station
from routilux.parcel import Parcel

SHARED_BYTES = 100_000
"""A recipe of this size, as a closure over a model, is brought to the cluster once."""

MOST_GENERATIONS = 50
"""So many values may be made of each other on the cluster; then one is fetched, or a loop would keep all alive."""


@dataclass(slots=True)
class Load:
    """A batch, ready to be submitted."""

    letters: list[Letter] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    refused: list[tuple[Attempt, BaseException]] = field(default_factory=list)
    """What cannot travel, and why."""
    enclosed: list[object] = field(default_factory=list)
    recipes: dict[int, object] = field(default_factory=dict)
    generation: int = 0
    places: int = 0

    @property
    def arguments(self) -> list[object]:
        """What `run_batch` is called with."""
        head = pickle.dumps((tuple(self.recipes), self.letters, self.places), 5)
        return [head, *self.recipes.values(), *self.enclosed]


class Packer:
    """Knows the recipes of all handlers that it has packed orders for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._recipes: dict[Station, tuple[int, object, UnsendableError | None]] = {}
        self._keys = itertools.count()

    def load(self, batch: Batch) -> Load:
        """A batch as it travels."""
        load = Load()
        for attempt in batch.attempts:
            key, blob, unknown = self._recipe(attempt)
            letter, refused = (None, unknown) if unknown is not None else self._letter(attempt, key, load)
            if letter is None:
                assert refused is not None
                load.refused.append((attempt, refused))
            else:
                load.recipes[key] = blob
                load.letters.append(letter)
                load.attempts.append(attempt)
        return load

    def forget_shared(self) -> None:
        """Workers were lost, and with them perhaps what was shared: it is brought there again when it is needed."""
        self._recipes = {
            station: known for station, known in self._recipes.items() if isinstance(known[1], (bytes, type(None)))
        }

    def _recipe(self, attempt: Attempt) -> tuple[int, object, UnsendableError | None]:
        station, flow_id = attempt.activation[1], attempt.seat.course.origin.flow_id
        known = self._recipes.get(station)
        if known is None:
            key = next(self._keys)
            try:
                packed = pack_recipe(flow_id, station)
                known = key, self._cluster.share(packed) if len(packed) >= SHARED_BYTES else packed, None
            except UnsendableError as refused:
                known = key, None, refused
            self._recipes[station] = known
        return known

    def _letter(self, attempt: Attempt, key: int, load: Load) -> tuple[Letter | None, BaseException | None]:
        seat, (number, station, arguments, _, _, count, _) = attempt.seat, attempt.activation
        before = len(load.enclosed)
        arguments, lost = guarded(lambda: tuple([self._enclose(one, load) for one in arguments]))
        if lost is not None:
            return None, WorkerLostError(f"{attempt.where}: {lost}")
        state = seat.course.states.setdefault(station.routine_id, {}) if station.keeps_state else None
        room = seat.course.machine.settings.room
        order = Order(key, seat.course.origin.job_id, number, count, 0, arguments, state, 1, room)
        packed, broken = guarded(pack, order)
        if broken is not None:
            del load.enclosed[before:]
            return None, _unsendable(attempt, station.names, (*arguments,), state, broken)
        place = -1
        if station.stays and self._cluster.keeps and load.generation < MOST_GENERATIONS:
            place, load.places = load.places, load.places + 1
        encloses = len(load.enclosed) > before
        return Letter(key, number, count, attempt.where, packed, encloses, station.stays, place), None

    def _enclose(self, value: Any, load: Load) -> Any:
        """A value as it travels in an order: what lies on this cluster goes beside it."""
        if isinstance(value, ClusterParcel) and value.cluster is self._cluster:
            load.enclosed.append(value.placed)
            load.generation = max(load.generation, value.generation)
            return Enclosed(len(load.enclosed) - 1)
        if isinstance(value, Parcel):
            return value.open()
        if type(value) is list and any(isinstance(part, Parcel) for part in value):
            return [self._enclose(part, load) for part in value]
        return value


def _unsendable(
    attempt: Attempt, names: Iterable[str], arguments: tuple[Any, ...], state: object, broken: Exception
) -> UnsendableError:
    """The error for an order that cannot be pickled."""
    where = attempt.seat.course.origin.flow_id, attempt.activation[1].routine_id
    for name, value in zip(names, arguments, strict=False):
        failed = guarded(pack, value)[1]
        if failed is not None:
            return unsendable(*where, f"its input {name!r}", value, failed)
    return unsendable(*where, "its state", state, broken)
