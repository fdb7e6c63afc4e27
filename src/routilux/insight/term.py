"""What can hold a job up."""

from __future__ import annotations

import enum


class Term(enum.Enum):
    """The value is how it is called."""

    WORKERS = "workers"
    GIL = "GIL"
    CORES = "cores"
    CRITICAL_PATH = "critical path"
    LOOP = "event loop"
    CALLER = "the calling process"
