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
    "pausing": 1,
    "coroutines": 2,
    "long-work": 1,
    "short-work": 1,
    "arrays": 2,
    "metg": 4,
    "dask": 1,
    "ray": 1,
    "mixed": 2,
    "stored-chain": 1,
    "stored-flight": 1,
    "stored-stream": 1,
    "stored-pending": 4,
    "stored-dbos": 3,
    "stored-postgres": 2,
}
"""By row: how many lines of the table it gives."""


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("row", FIGURES)
def test_every_row_can_be_measured_and_its_counts_are_right(row: str) -> None:
    figures = json.loads(python("-m", "benchmarks", "--quick", "--json", "--only", row))
    skipped = [figure for figure in figures if figure["note"].startswith("skipped")]
    assert len(figures) == (len(skipped) or FIGURES[row])
    for figure in figures:
        assert figure["verdict"] in ({""} if figure["target"] is None else {"ok", "over", "under"})
        assert figure in skipped or figure["best"] >= 0 or figure["unit"] == "ms"


@pytest.mark.timeout(300)
def test_what_the_engine_says_of_flows_can_be_held_against_what_is_measured() -> None:
    figures = json.loads(python("-m", "benchmarks.insight", "--quick", "--json", "--flow", "tiny"))
    assert [figure["measure"].split(":")[0] for figure in figures] == [
        "always on, an activation",
        "probe at 50 Hz",
        "replay of a job",
        *["verdicts"] * 2,
        *["predictions"] * 2,
        "tune",
        *["auto"] * 2,
    ]


def test_no_row_is_left_out_here() -> None:
    assert python("-c", "from benchmarks.__main__ import ROWS; print(*ROWS)").split() == list(FIGURES)


def test_the_exit_code_tells_whether_a_figure_misses_its_target() -> None:
    judge = "from benchmarks.measure import Better, Figure, exit_code\n"
    cost, gain = "Figure('a', 2.0, 'x', {}, 9.0)", "Figure('b', 2.0, 'x', {}, 1.0, better=Better.LARGER)"
    unjudged = "Figure('c', None, 'x', 9.0, 9.0)"
    for figures, expected in (
        ([cost.format(2.0), gain.format(2.0), unjudged], "0"),
        ([cost.format(2.1), gain.format(2.1)], "1"),
        ([cost.format(1.9), gain.format(1.9)], "1"),
    ):
        assert python("-c", f"{judge}print(exit_code([{', '.join(figures)}]))").strip() == expected


def test_without_rich_the_table_is_plain_text() -> None:
    without = "import sys; sys.modules['rich'] = None; sys.modules['rich.console'] = None\n"
    show = "from benchmarks.table import show; from benchmarks.measure import Better, Figure, skipped\n"
    figures = (
        "Figure('one', 2.0, 'x', 1.0, 3.0), Figure('two', 1.9, 'x', 1.0, 3.0, '', Better.LARGER), skipped('no', 'ray')"
    )
    lines = python("-c", f"{without}{show}show([{figures}])").splitlines()
    assert lines[1].split() == ["measure", "target", "best", "median", "verdict", "note"]
    assert lines[2].split() == ["one", "<=", "2", "x", "1.00", "x", "3.00", "x", "ok"]
    assert lines[3].split() == ["two", ">=", "1.9", "x", "1.00", "x", "3.00", "x", "under"]
    assert lines[4].split() == ["no", "skipped:", "ray", "is", "not", "installed"]
