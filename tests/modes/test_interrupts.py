"""Ctrl-C, at whatever line the main thread is, ends the block of a flow: nothing is left that nobody runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STRIDE, STRIDE_STORED = 3, 11
"""Lines from one trial to the next: each is a job, and those with a store take longer."""


@pytest.mark.parametrize("stored", [False, True], ids=["", "stored"])
@pytest.mark.parametrize("way", ["start", "execute"])
@pytest.mark.parametrize("mode", ["sequential", "concurrent", "asyncio", "auto"])
def test_an_interrupted_block_ends(mode: str, way: str, stored: bool, tmp_path: Path) -> None:
    store, stride = (str(tmp_path), STRIDE_STORED) if stored else ("", STRIDE)
    command = [sys.executable, "-W", "ignore", "-m", "tests.modes.interrupted", mode, way, store, str(stride)]
    done = subprocess.run(
        command, check=False, cwd=Path(__file__).parents[2], timeout=50, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-5000:]
