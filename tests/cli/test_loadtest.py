"""The command `loadtest`, run as a user would."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from routilux import Flow
from routilux.cli.loadtest import show

FLOWS = """
from routilux import Flow

quick = Flow("quick", execution_mode="concurrent", max_workers=2)
quick.add_routine(lambda x: x, "serve")
kept = Flow("kept", store="jobs.db")
kept.add_routine(lambda x: x, "serve")
broken = Flow("broken")
broken.add_routine(lambda x: x / 0, "serve")
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(FLOWS)
    (tmp_path / "params.json").write_text('[{"x": 1}, {"x": 2}]')
    (tmp_path / "moments.txt").write_text("0.0\n0.1\n0.4\n")
    return tmp_path


def loadtest(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "routilux.cli", "loadtest", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=50)


QUICK = ("flows:quick", "--entry", "serve", "--rate", "2000", "--seconds", "0.05")


def test_help_says_what_the_exit_codes_are_and_shows_examples(directory: Path) -> None:
    done = loadtest(directory, "--help")
    assert done.returncode == 0, done.stderr
    assert "routilux loadtest" in done.stdout.partition("Examples:")[2]
    assert "Exits with 0 if all is well" in done.stdout


def test_a_rate_that_is_kept_up_is_reported_as_text(directory: Path) -> None:
    done = loadtest(directory, *QUICK, "--params", '{"x": 1}', "--hgrm", "table.hgrm")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "offered/s" in done.stdout
    assert "fixed rate" in done.stdout
    assert "Total count    =          600" in (directory / "table.hgrm").read_text()


def test_how_long_it_takes_is_said_before(directory: Path) -> None:
    done = loadtest(directory, *QUICK, "--params", '{"x": 1}', "--soak", "100ms", "--json")
    assert done.stderr == "It takes 400.00 ms at least, after the warm-up.\n"
    searching = loadtest(directory, "flows:broken", "--entry", "serve", "--params", '{"x": 1}')
    assert searching.stderr.startswith("Searching for the knee, in steps of 3.00 s and 200 jobs at least")


def test_jobs_that_stay_in_a_store_are_told_of(directory: Path) -> None:
    done = loadtest(directory, "flows:kept", *QUICK[1:3], "--params", '{"x": 1}', "--users", "1", "--seconds", "0.01")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "Flow 'kept' has a store, and the jobs of this test stay in it" in done.stderr
    assert "`routilux jobs purge jobs.db --finished-before 1h`" in done.stderr


def test_an_objective_that_cannot_be_met_is_told_to_machines(directory: Path) -> None:
    done = loadtest(directory, *QUICK[:3], "--params", "@params.json", "--slo", "p99=0s@2000/s", "--json")
    found = json.loads(done.stdout)
    assert found["slo"] == {"p99=0s@2000/s": "missed"}
    assert done.returncode == found["exit_code"] in (1, 3)


def test_an_objective_that_is_easily_met_gives_no_error(directory: Path) -> None:
    done = loadtest(directory, *QUICK[:3], "--params", "@params.json", "--slo", "p99=10s@400/s", "--seconds", "0.05")
    # A machine that others use may stand still at the end of the step, and then nothing can be concluded.
    assert (done.returncode == 0) is ("SLO p99=10s@400/s: met." in done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize(
    "more",
    [["--arrivals", "burst:10"], ["--trace", "moments.txt"], ["--mode", "asyncio"], ["--workers", "1", "--seed", "5"]],
)
def test_arrivals_and_settings_can_be_chosen(directory: Path, more: list[str]) -> None:
    done = loadtest(directory, *QUICK, "--params", '{"x": 1}', *more)
    assert done.returncode in (0, 1, 3), done.stderr
    assert "Load test; workers:" in done.stdout


def test_users_are_a_closed_loop(directory: Path) -> None:
    done = loadtest(
        directory, *QUICK[:3], "--params", '{"x": 1}', "--users", "2", "--think", "1ms", "--seconds", "0.05"
    )
    assert done.returncode in (0, 3), done.stderr
    assert "Closed loop, 2 users who wait" in done.stdout


def test_a_flow_that_fails_says_how(directory: Path) -> None:
    done = loadtest(directory, "flows:broken", "--entry", "serve", "--params", '{"x": 1}')
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flows:quick", "--entry", "server", "--params", '{"x": 1}'], "Did you mean 'serve'?"),
        (["flows:quick", "--entry", "serve", "--params", '{"y": 1}'], "Known: 'x'"),
        (["flows:quick", "--entry", "serve", "--params", "{x: 1}"], "is no JSON"),
        (["flows:quick", "--entry", "serve", "--params", "@none.json"], "none.json"),
        (["flows:quick", "--entry", "serve", "--params", "[1]"], "must be a JSON object"),
        ([*QUICK, "--params", '{"x": 1}', "--slo", "fast"], 'written like "p99=50ms"'),
        ([*QUICK, "--params", '{"x": 1}', "--users", "2"], "leave out one"),
        ([*QUICK, "--params", '{"x": 1}', "--arrivals", "poison"], "Did you mean 'poisson'?"),
        ([*QUICK, "--params", '{"x": 1}', "--soak", "long"], "soak must be a number with its unit"),
        ([*QUICK, "--params", '{"x": 1}', "--slo", "p99=50"], '"50ms", "2s", "30m" or "7d", not \'50\''),
        ([*QUICK, "--params", '{"x": 1}', "--trace", "params.json"], "a moment in seconds on each line"),
        (["flows:quik", "--entry", "serve"], "Did you mean"),
    ],
)
def test_what_means_nothing_is_refused_kindly(directory: Path, arguments: list[str], message: str) -> None:
    done = loadtest(directory, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_is_shown_a_table_and_the_verdict() -> None:
    flow = Flow("quick", execution_mode="concurrent", max_workers=2)
    flow.add_routine(lambda x: x, "serve")
    result = flow.load_test("serve", {"x": 1}, rate=2000, step_seconds=0.05, soak=0.2)
    text = StringIO()
    show(Console(file=text, force_terminal=True, highlight=False, width=200), result)
    for line in ("Load test; workers: 2 concurrent", "fixed rate", "Soak:", "Predicted from one job alone"):
        assert line in text.getvalue()
