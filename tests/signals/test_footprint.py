"""What the process holds."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

from routilux.signals.footprint import allocations, footprint


def test_threads_and_blocks_are_counted_everywhere(tmp_path: Path) -> None:
    found = footprint(tmp_path)
    assert found["threads"] == threading.active_count()
    assert found["blocks"] > 0
    assert set(found) == {"threads", "blocks"}


def test_memory_and_files_are_read_where_the_system_tells_them(tmp_path: Path) -> None:
    (tmp_path / "fd").mkdir()
    for name in ("0", "1", "2"):
        (tmp_path / "fd" / name).touch()
    (tmp_path / "statm").write_text("900 500 100 1 0 300 0\n")
    found = footprint(tmp_path)
    assert found["files"] == 3
    assert found["rss"] % 500 == 0


def test_allocations_are_told_by_line_where_they_are_counted() -> None:
    assert allocations() is None
    tracemalloc.start()
    try:
        kept = [bytes(1000) for _ in range(100)]
        found = allocations()
    finally:
        tracemalloc.stop()
    assert kept
    assert found is not None
    assert any("test_footprint.py" in line for line in found)
