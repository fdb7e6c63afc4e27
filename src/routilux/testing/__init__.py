"""For tests of flows, without sleeping: a clock that is set by hand, and a driver that settles in any order."""

from routilux.testing.clock import ManualClock
from routilux.testing.scripted import ScriptedRun, first_difference

__all__ = ["ManualClock", "ScriptedRun", "first_difference"]
