"""What this process holds: memory, open files, threads."""

from __future__ import annotations

import os
import sys
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path

SELF = Path("/proc/self")


def footprint(proc: Path = SELF) -> dict[str, float]:
    """By name: `rss` in bytes, allocated `blocks`, open `files`, `threads`; what the system does not tell is absent."""
    found: dict[str, float] = {"blocks": sys.getallocatedblocks(), "threads": threading.active_count()}
    with suppress(OSError, ValueError, AttributeError, IndexError):
        found["rss"] = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError):
        found["files"] = sum(1 for _ in (proc / "fd").iterdir())
    return found


def allocations() -> dict[str, int] | None:
    """Bytes by source line, where `tracemalloc` was started; `None` where it was not."""
    if not tracemalloc.is_tracing():
        return None
    statistics = tracemalloc.take_snapshot().statistics("lineno")
    return {str(one.traceback[0]): one.size for one in statistics}
