"""The benchmarks run, and what they count is right; how fast it is, is not for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FIGURES = {
    "chain": 3,
    "fan-out": 1,
    "sleepers": 1,
    "tracker": 2,
    "activations": 1,
    "source-sequential": 1,
    "source-concurrent": 1,
    "start": 2,
}
"""By row: how many lines of the table it gives."""


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("row", FIGURES)
def test_every_row_can_be_measured_and_its_counts_are_right(row: str) -> None:
    figures = json.loads(python("-m", "benchmarks", "--quick", "--json", "--only", row))
    assert len(figures) == FIGURES[row]
    for figure in figures:
        assert figure["verdict"] in ({""} if figure["target"] is None else {"ok", "over"})
        assert figure["minimum"] >= 0 or figure["unit"] == "ms"


def test_no_row_is_left_out_here() -> None:
    assert python("-c", "from benchmarks.__main__ import ROWS; print(*ROWS)").split() == list(FIGURES)


def test_the_exit_code_tells_whether_a_minimum_is_over_its_target() -> None:
    judge = "from benchmarks.measure import Figure, exit_code\n"
    reached = "Figure('a', 2.0, 'x', 2.0, 3.0), Figure('b', None, 'x', 9.0, 9.0)"
    assert python("-c", f"{judge}print(exit_code([{reached}]))").strip() == "0"
    assert python("-c", f"{judge}print(exit_code([{reached}, Figure('c', 2.0, 'x', 2.1, 2.1)]))").strip() == "1"


def test_without_rich_the_table_is_plain_text() -> None:
    without = "import sys; sys.modules['rich'] = None; sys.modules['rich.console'] = None\n"
    show = "from benchmarks.__main__ import _show; from benchmarks.measure import Figure\n"
    lines = python("-c", f"{without}{show}_show([Figure('a thing', 2.0, 'x', 1.0, 3.0)])").splitlines()
    assert lines[1].split() == ["measure", "target", "minimum", "median", "verdict", "note"]
    assert lines[2].split() == ["a", "thing", "<=", "2", "x", "1.00", "x", "3.00", "x", "ok"]
