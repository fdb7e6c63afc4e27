"""The benchmarks run, and what they count is right; how fast it is, is not for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_row_can_be_measured():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert len(figures) == 9
    assert all(figure["minimum"] >= 0 or figure["unit"] == "ms" for figure in figures)
