"""Routilux: an embedded, event-driven workflow engine that does its own performance tuning."""

from routilux.api import Flow
from routilux.context import Context
from routilux.facts import ActivationStatus, Failure, JobStatus
from routilux.firing import all_slots, batch, collect, first, gather, keyed
from routilux.job import Job
from routilux.routine import Routine, routine
from routilux.strategies import Continue, ErrorStrategy, Retry, Skip, Stop
from routilux.stream import Stream
from routilux.tracking.tracker import ExecutionTracker

__all__ = [
    "ActivationStatus",
    "Context",
    "Continue",
    "ErrorStrategy",
    "ExecutionTracker",
    "Failure",
    "Flow",
    "Job",
    "JobStatus",
    "Retry",
    "Routine",
    "Skip",
    "Stop",
    "Stream",
    "all_slots",
    "batch",
    "collect",
    "first",
    "gather",
    "keyed",
    "routine",
]
