"""The commands that run a flow and say what to do about it, as a user types them."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FLOWS = """
from routilux import Flow, collect, routine

@routine
def numbers(n):
    yield from range(n)

@routine
def crunch(x):
    return sum(range(x * 50))

@routine(fires=collect())
def total(xs):
    return len(xs)

work = Flow("work")
work.chain(numbers, crunch, total)

class Odd:
    def __repr__(self):
        raise ValueError("no repr")

odd = Flow("odd")
odd.add_routine(lambda n: Odd(), "make")

failing = Flow("failing")
failing.add_routine(lambda x: 1 / x, "divide")
"""

BUSY_OR_NOT = {0, 3}
"""What a command exits with that has an answer: 3 where other processes disturbed it."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current directory of the commands: a module, two recordings of its flow, one of another, and no recording."""
    here = tmp_path_factory.mktemp("advising")
    (here / "shop.py").write_text(FLOWS)
    for name in ("before.json", "after.json"):
        recorded = routilux(here, "run", "shop:work", "--entry", "numbers", "--params", '{"n": 30}', "--trace", name)
        assert recorded.returncode == 0, recorded.stderr
    routilux(here, "run", "shop:odd", "--entry", "make", "--params", '{"n": 1}', "--trace", "odd.json")
    (here / "damaged.json").write_text((here / "before.json").read_text()[:400])
    return here


def routilux(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    start = "import sys\nfrom routilux.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=55)


@pytest.mark.parametrize("command", ["run", "analyze", "simulate", "tune", "compare"])
def test_help_shows_examples_and_exit_codes(directory: Path, command: str) -> None:
    done = routilux(directory, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"routilux {command}" in done.stdout.partition("Examples:")[2]
    assert "Exit codes: 0" in done.stdout


@pytest.mark.parametrize("options", [[], ["--progress"], ["--mode", "concurrent", "--workers", "2"]])
def test_run_prints_what_left_the_flow(directory: Path, options: list[str]) -> None:
    done = routilux(directory, "run", "shop:work", "--entry", "numbers", "--params", '{"n": 30}', *options)
    assert done.returncode == 0, done.stderr
    assert "Flow 'work': completed" in done.stdout
    assert done.stdout.split()[-2:] == ["total", "30"]


def test_run_prints_json(directory: Path) -> None:
    done = routilux(directory, "run", "shop:work", "--entry", "numbers", "--params", '{"n": 3}', "--json")
    told = json.loads(done.stdout)
    assert (told["status"], told["results"]) == ("completed", {"total": [3]})


def test_run_says_which_file_it_wrote(directory: Path) -> None:
    arguments = ["run", "shop:work", "--entry", "numbers", "--params", '{"n": 1}', "--trace", "one.json"]
    done = routilux(directory, *arguments)
    assert (done.returncode, done.stderr) == (0, "Wrote one.json.\n")
    told = routilux(directory, *arguments, "--json")
    assert (json.loads(told.stdout)["status"], told.stderr) == ("completed", "Wrote one.json.\n")


def test_run_exits_with_1_when_the_job_fails(directory: Path) -> None:
    done = routilux(directory, "run", "shop:failing", "--entry", "divide", "--params", '{"x": 0}')
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout


def test_run_shows_results_that_cannot_be_shown(directory: Path) -> None:
    done = routilux(directory, "run", "shop:odd", "--entry", "make", "--params", '{"n": 1}')
    assert done.returncode == 0, done.stderr
    assert "<Odd, whose repr raised ValueError>" in done.stdout


@pytest.mark.parametrize("target", [["before.json"], ["shop:work", "--entry", "numbers", "--params", '{"n": 30}']])
def test_analyze_explains_a_recording_or_a_flow(directory: Path, target: list[str]) -> None:
    done = routilux(directory, "analyze", *target)
    assert done.returncode in BUSY_OR_NOT, done.stderr
    assert "What the workers' time went into" in done.stdout
    told = json.loads(routilux(directory, "analyze", *target, "--json").stdout)
    assert (told["flow"], told["recorded"]) == ("work", True)


def test_analyze_explains_a_flow_that_fails_and_exits_with_1(directory: Path) -> None:
    done = routilux(directory, "analyze", "shop:failing", "--entry", "divide", "--params", '{"x": 0}')
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Flow 'failing'" in done.stdout


def test_simulate_foretells_from_a_recording(directory: Path) -> None:
    done = routilux(directory, "simulate", "before.json")
    assert done.returncode in BUSY_OR_NOT, done.stderr
    assert "replaying your own run" in done.stdout.splitlines()[0]


def test_simulate_runs_the_best_two_of_a_flow(directory: Path) -> None:
    arguments = ["shop:work", "--entry", "numbers", "--params", '{"n": 30}', "--verify", "--json"]
    done = routilux(directory, "simulate", *arguments)
    assert done.returncode in BUSY_OR_NOT, done.stderr
    assert sum(bool(one["measured"]) for one in json.loads(done.stdout)["predictions"]) == 2


@pytest.mark.parametrize("name", ["settings.toml", "settings.py"])
def test_tune_recommends_and_writes_settings(directory: Path, name: str) -> None:
    arguments = ["shop:work", "--entry", "numbers", "--params", '{"n": 30}', "--emit", name, "--json"]
    done = routilux(directory, "tune", *arguments)
    assert done.returncode in BUSY_OR_NOT, done.stderr
    told, written = json.loads(done.stdout), (directory / name).read_text()
    assert done.stderr == f"Wrote {name}.\n"
    if name.endswith(".toml"):
        assert tomllib.loads(written) == told["settings"]
    else:
        assert "SETTINGS = {" in written


def test_compare_says_what_changed(directory: Path) -> None:
    done = routilux(directory, "compare", "before.json", "after.json", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == int(told["worse"]), done.stderr
    assert {one["routine_id"] for one in told["routines"]} == {"numbers", "crunch", "total"}
    assert routilux(directory, "compare", "before.json", "before.json").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["analyze", "nothing.json"], 2, "There is no recording 'nothing.json'"),
        (["analyze", "damaged.json"], 2, "it is cut off"),
        (["analyze", "shop.py"], 2, "This is no recording"),
        (["analyze", "shop:work"], 2, "--entry"),
        (["analyze", "shop:wrok", "--entry", "numbers"], 2, "Did you mean 'work'?"),
        (["simulate", "before.json", "--verify"], 2, "only a flow can be run to verify"),
        (["compare", "before.json", "odd.json"], 2, "two flows, 'work' and 'odd'"),
        (["tune", "shop:failing", "--entry", "divide", "--params", '{"x": 0}'], 1, "ZeroDivisionError"),
        (["simulate", "shop:failing", "--entry", "divide", "--params", '{"x": 0}'], 1, "nothing can be concluded"),
        (["run", "shop:work", "--entry", "number", "--params", '{"n": 3}'], 2, "numbers"),
        (["run", "shop:work", "--entry", "numbers", "--params", "{n: 3}"], 2, "--params is no JSON"),
        (["run", "shop:work", "--entry", "numbers", "--params", "[3]"], 2, "must be a JSON object"),
        (["run", "shop:work", "--entry", "numbers", "--params", '{"m": 3}'], 2, "m"),
        (["run", "shop:work"], 2, "--entry ROUTINE. Flow 'work' has 'numbers', 'crunch', 'total'."),
        (["tune", "shop:work"], 2, "--entry ROUTINE. Flow 'work' has 'numbers', 'crunch', 'total'."),
        (["loadtest", "shop:work"], 2, "--entry ROUTINE. Flow 'work' has 'numbers', 'crunch', 'total'."),
        (["tune", "before.json"], 2, "`routilux analyze` and `routilux simulate` take recordings"),
        (["run", "before.json", "--entry", "numbers"], 2, "write module:flow"),
        (["tune", "shop:work", "--entry", "numbers", "--emit", "s.ini"], 2, "s.ini: the name must end in .py or .toml"),
    ],
)
def test_what_goes_wrong_is_said_kindly(directory: Path, arguments: list[str], code: int, message: str) -> None:
    done = routilux(directory, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
