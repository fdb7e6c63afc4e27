"""Fan-outs under way: how far activations have got that emit in parts, and the scopes they opened."""

from __future__ import annotations

from routilux.facts import Emissions
from routilux.machine.delivery import Activation, Delivery
from routilux.machine.folded import emit_pages
from routilux.machine.plan import Station
from routilux.machine.scopes import Place, Scope
from routilux.page import Pages
from routilux.slots import ERROR


class Progress:
    """How far one activation has got."""

    __slots__ = ("emissions", "scope", "yields")

    def __init__(self, scope: Scope | None) -> None:
        self.yields = 0
        self.emissions = 0
        self.scope = scope


class FanOuts:
    """Gives emissions their place in the order of the fan-out they belong to, and closes it at its end."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.open: dict[int, Progress] = {}
        """By activation: how far those have got that are not done."""

    def emit(self, activation: Activation, emissions: Emissions, moment: int, *, more: bool, yields: int = 1) -> None:
        """Delivers what an attempt emitted; with `more`, it is the next part of what a generator gives."""
        number, station, _, _, _, _, place = activation
        progress = self._progress(activation) if more or place is not None else None
        if progress is not None and more:
            progress.yields += yields
        if place is None and type(emissions) is Pages:
            emit_pages(self._delivery, station, emissions, number, moment)
            return
        if place is None and len(emissions) > 1:
            _emit_all(self._delivery, station, emissions, number, moment)
            return
        for event, value in emissions:
            there = place
            if progress is not None and place is not None and event != ERROR:
                there = self._place(progress, place, alone=not more and len(emissions) == 1)
                progress.emissions += 1
            self._delivery.emit(station, event, value, number, there, moment)

    def conclude(self, activation: Activation, moment: int) -> None:
        """An activation has ended for good: its fan-out is complete, and it leaves the scope it was in."""
        number, station, _, _, _, _, place = activation
        progress = self.open.get(number)
        if progress is None and station.fans_out and place is not None:
            progress = self._progress(activation)
        self.open.pop(number, None)
        if progress is not None and progress.scope is not None:
            self._delivery.leave((progress.scope, ()), moment)
        if place is not None:
            self._delivery.leave(place, moment)

    def yields_of(self, number: int) -> int:
        """How many values of a generator are visible already, so that another attempt does not give them again."""
        return self.open[number].yields if number in self.open else 0

    def _progress(self, activation: Activation) -> Progress:
        number, station, _, _, _, _, place = activation
        progress = self.open.get(number)
        if progress is None:
            progress = self.open[number] = Progress(None)
            if station.fans_out and place is not None:
                progress.scope = Scope(station.routine_id, number, place)
                place[0].live += 1
        return progress

    @staticmethod
    def _place(progress: Progress, place: Place, *, alone: bool) -> Place:
        """The place of the next emission; one that is the only one stands where its activation stands."""
        if alone and progress.scope is None and not progress.emissions:
            return place
        return progress.scope or place[0], (*place[1], progress.emissions)


def _emit_all(delivery: Delivery, station: Station, emissions: Emissions, cause: int, moment: int) -> None:
    """As `Delivery.emit`, for all that one attempt emitted outside any fan-out; what mostly follows is written out."""
    outputs, ready, limit = station.outputs, delivery.ready.append, delivery.max_activations
    for event, value in emissions:
        targets = outputs[event]
        if len(targets) == 1 and targets[0].easy and delivery.fired < limit:
            delivery.fired = number = delivery.fired + 1
            ready((number, targets[0].station, (value,), cause, moment, 1, None))
        else:
            delivery.emit(station, event, value, cause, None, moment)
