"""Folded activations: a page of them that lies among what is ready as if it were one, until its turn comes.

A machine to which the facts of a job happen again may be handed a million emissions of which each fires. To make the
activations takes longer than to read the page on which their arguments stand; so that is done a page at a time, when a
worker is free. A page looks like an activation of a limited routine: what is mostly run is not asked whether it is one.
"""

from __future__ import annotations

from dataclasses import replace

from routilux.guard import guarded
from routilux.machine.delivery import Activation, Delivery
from routilux.machine.plan import Plan, Station
from routilux.page import Page, Pages


def emit_pages(delivery: Delivery, station: Station, pages: Pages, cause: int, moment: int) -> None:
    """Takes emissions to all that they are connected to, and folds what can be."""
    stand_ins: dict[int, Station] = {}
    for page in pages.pages:
        targets = station.outputs[page.event]
        alone = len(targets) == 1 and targets[0].read is None and targets[0].station.direct
        if not alone or delivery.fired + page.count > delivery.max_activations:
            for value in page.open():
                delivery.emit(station, page.event, value, cause, None, moment)
            continue
        target = targets[0].station
        stand_in = stand_ins.get(target.index) or stand_ins.setdefault(target.index, _standing_in_for(target))
        delivery.admit((delivery.fired + 1, stand_in, (page,), cause, moment, 1, None))
        delivery.fired += page.count
        delivery.queues[target.mode].folded += page.count - 1


def page_of(folded: Activation) -> Page:
    """What a folded activation stands for."""
    (page,) = folded[2]
    assert isinstance(page, Page)
    return page


def unfolded(plan: Plan, folded: Activation) -> tuple[list[Activation], Exception | None]:
    """The activations of a page, or why it cannot be read any more."""
    first, stand_in, _, cause, moment, _, _ = folded
    values, error = guarded(page_of(folded).open)
    station = plan.stations[stand_in.index]
    return [
        (number, station, (value,), cause, moment, 1, None) for number, value in enumerate(values or (), first)
    ], error


def unfold(plan: Plan, delivery: Delivery, folded: Activation) -> Exception | None:
    """Puts the activations of a page before all that is ready; gives why it cannot be read any more."""
    activations, error = unfolded(plan, folded)
    queue = delivery.queues[folded[1].mode]
    queue.ready.extendleft(reversed(activations))
    queue.folded -= page_of(folded).count - 1
    return error


def _standing_in_for(station: Station) -> Station:
    return replace(station, plain=False, pulled=False, successor=None, folded=True)
