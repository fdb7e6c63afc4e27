"""Messages that wait where a partner is missing."""

from __future__ import annotations

from routilux.machine.delivery import Delivery
from routilux.machine.gates import Gate
from routilux.machine.plan import Plan


def stranded(plan: Plan, delivery: Delivery) -> dict[tuple[str, str], str]:
    """By routine and slot: in words, how many messages wait there, and which partner is missing."""
    found = {}
    for gate in delivery.gates:
        names = gate.station.names
        for position, count in gate.parked().items():
            if count:
                found[gate.station.routine_id, names[position]] = (
                    f"{count} message{'s' * (count > 1)} in slot {names[position]!r} of {gate.station.routine_id!r} "
                    f"wait{'s' * (count == 1)} for {missing_partners(plan, gate)}"
                )
    return found


def missing_partners(plan: Plan, gate: Gate) -> str:
    """What a gate waits for, in words."""
    lacking = []
    for position in gate.lacking:
        feeders = " or ".join(map(repr, plan.feeders.get((gate.station.index, position), ())))
        lacking.append(f"slot {gate.station.names[position]!r}" + (f", fed by {feeders}" if feeders else ""))
    return " and ".join(lacking) or "partners with the same key"
