"""`routilux report`, run as a user would."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from routilux.execution_mode import ExecutionMode
from routilux.insight.recording import to_json
from tests.cli.test_commands import routilux
from tests.insight.tales import fan


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The current directory of the commands, with a recording in it."""
    (tmp_path / "orders.json").write_text(to_json(fan(6, cpu=1, wait=2)), encoding="utf-8")
    (tmp_path / "cluster.json").write_text(to_json(fan(6, cpu=1, mode=ExecutionMode.DISTRIBUTED)), encoding="utf-8")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff")
    return tmp_path


def wrote(done: subprocess.CompletedProcess[str], name: str) -> bool:
    return done.returncode == 0 and done.stderr == "" and f"Wrote {name}: 7 attempts" in done.stdout


def test_help_shows_examples(directory: Path) -> None:
    done = routilux(directory, "report", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "routilux report orders.json -o orders.json.gz" in done.stdout


def test_a_recording_becomes_a_page_beside_it(directory: Path) -> None:
    assert wrote(routilux(directory, "report", "orders.json"), "orders.html")
    page = (directory / "orders.html").read_text(encoding="utf-8")
    assert "What would be faster" in page
    assert "leaf" in page


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_name_of_the_output_says_what_it_is(directory: Path, option: str) -> None:
    assert wrote(routilux(directory, "report", "orders.json", option, "slow.html"), "slow.html")
    assert wrote(routilux(directory, "report", "orders.json", option, "chrome.json"), "chrome.json")
    assert wrote(routilux(directory, "report", "orders.json", option, "chrome.json.gz"), "chrome.json.gz")
    plain = json.loads((directory / "chrome.json").read_text(encoding="utf-8"))
    assert json.loads(gzip.decompress((directory / "chrome.json.gz").read_bytes())) == plain
    assert any(event["ph"] == "X" for event in plain["traceEvents"])


def test_a_job_of_which_there_is_no_model_has_a_page_without_predictions(directory: Path) -> None:
    assert wrote(routilux(directory, "report", "cluster.json"), "cluster.html")
    assert "What would be faster" not in (directory / "cluster.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.json"], 2, "does not exist"),
        (["orders.json", "-o", "orders.pdf"], 2, "must end in .html, .json or .json.gz"),
        (["orders.json", "-o", "orders.json"], 2, "is the recording itself"),
        (["other.json"], 1, "other.json: This is no recording of a job"),
        (["picture.json"], 1, "can't decode"),
        (["orders.json", "-o", "nowhere/orders.html"], 1, "No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    directory: Path, arguments: list[str], code: int, message: str
) -> None:
    done = routilux(directory, "report", *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
