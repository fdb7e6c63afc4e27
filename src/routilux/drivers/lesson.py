"""What a worker is taught: the recipe of a station, for which it imports the user's modules.

A flow that one of them executes at its top level would start workers that import it again, and so on without end.
"""

from __future__ import annotations

import pickle
import sys
from contextvars import ContextVar

from routilux.drivers.far import Recipe, pack_code, recipe_of, unsendable
from routilux.errors import ImportedFlowError, UnsendableError
from routilux.guard import guarded
from routilux.machine.plan import Station

READING: ContextVar[bool] = ContextVar("READING", default=False)
"""Whether a worker is being taught here."""

HASTY = (
    "a module that a worker imports executes a flow at its top level, whose workers would import it again. "
    "Put that into a function, or below if __name__ == '__main__'."
)


def pack_recipe(flow_id: str, station: Station) -> bytes:
    """How to call the handler of a station, for a worker.

    Raises `UnsendableError`; also while its module is being imported, until which is done pickle would wait.
    """
    module = sys.modules.get(getattr(station.call, "__module__", None) or "")
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        raise UnsendableError(f"Flow {flow_id!r}, routine {station.routine_id!r}: {HASTY}")
    packed, broken = guarded(pack_code, recipe_of(flow_id, station))
    if broken is not None:
        raise unsendable(flow_id, station.routine_id, "its handler", station.call, broken)
    return bytes(packed)


def read_recipe(packed: bytes) -> Recipe:
    """A recipe that was pickled for a worker."""
    token = READING.set(True)
    try:
        recipe: Recipe = pickle.loads(packed)
        return recipe
    finally:
        READING.reset(token)


def refuse_while_reading() -> None:
    """Raises `ImportedFlowError` where workers are to be had by what a worker imports."""
    if READING.get():
        raise ImportedFlowError(HASTY)
