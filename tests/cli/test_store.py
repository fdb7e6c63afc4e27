"""`routilux store`, run as a user would, on real files."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from routilux.stores.port import Entry, NewJob
from routilux.stores.sqlite.store import open_store
from tests.cli.here import here as routilux


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The current directory of the commands: two stores, one of them damaged."""
    for name in ("jobs.db", "bad.db"):
        with open_store(tmp_path / name) as store:
            for number in range(3):
                entries = [Entry("settled", 5, b"%d" % one) for one in range(4)]
                store.submit(NewJob(f"job \x1b[3{number}m", "flow", None, b"{}", entries))
            store.save(b"nobody names it")
    with closing(sqlite3.connect(tmp_path / "bad.db")) as connection:
        connection.execute("UPDATE facts SET body = x'00' WHERE job = 2 AND seq = 3")
        connection.commit()
    return tmp_path


@pytest.mark.parametrize("command", [[], ["check"], ["repair"], ["doctor"]])
def test_help_shows_examples_and_exit_codes(directory: Path, command: list[str]) -> None:
    done = routilux(directory, "store", *command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "routilux store check jobs.db" in done.stdout
    assert "4 something is damaged" in done.stdout


def test_a_whole_store_is_said_to_be(directory: Path) -> None:
    done = routilux(directory, "store", "check", "jobs.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Whole: 3 jobs with 12 entries.")
    assert "1 file that no entry names" in done.stdout
    assert json.loads(routilux(directory, "store", "check", "jobs.db", "--json").stdout)["damages"] == []


def test_damage_is_named_and_what_stands_before_it_is_copied(directory: Path) -> None:
    done = routilux(directory, "store", "check", "bad.db")
    assert done.returncode == 4
    assert done.stdout.startswith("DAMAGED: 3 jobs with 10 entries.")
    assert r"job \x1b[31m" in done.stdout
    assert "\x1b" not in done.stdout
    before = (directory / "bad.db").read_bytes()
    done = routilux(directory, "store", "repair", "bad.db", "whole.db", "--json")
    assert done.returncode == 4
    assert [(one["job_id"], one["seq"]) for one in json.loads(done.stdout)["affected"]] == [("job \x1b[31m", 3)]
    assert (directory / "bad.db").read_bytes() == before
    assert routilux(directory, "store", "check", "whole.db").stdout.startswith("Whole: 3 jobs with 10 entries.")
    again = routilux(directory, "store", "repair", "bad.db", "whole.db")
    assert again.returncode == 2
    assert "whole.db exists already" in again.stderr


def test_a_whole_store_is_copied_whole(directory: Path) -> None:
    done = routilux(directory, "store", "repair", "jobs.db", "copy.db")
    assert (done.returncode, done.stdout) == (0, "Copied to copy.db: 3 jobs with 12 entries.\n")


def test_a_doctor_tells_of_the_surroundings(directory: Path) -> None:
    (directory / "jobs.db").chmod(0o644)
    done = routilux(directory, "store", "doctor", "jobs.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"SQLite {sqlite3.sqlite_version}" in done.stdout
    assert "Other users of this machine may open jobs.db" in done.stdout
    found = json.loads(routilux(directory, "store", "doctor", "jobs.db", "--json").stdout)
    assert found["sizes"]["jobs.db"] > 0
    assert found["owner"] is None
    with open_store(directory / "jobs.db"):
        assert "opened by process" in routilux(directory, "store", "doctor", "jobs.db").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "nowhere.db"], 2, "does not exist"),
        (["check", "text.db"], 4, "is damaged, or no store"),
        (["repair", "text.db", "whole.db"], 4, "is damaged, or no store"),
        (["repair", "jobs.db", "nowhere/whole.db"], 8, "cannot be opened"),
    ],
)
def test_what_is_no_store_is_one_line_and_a_code(
    directory: Path, arguments: list[str], code: int, message: str
) -> None:
    (directory / "text.db").write_text("no store at all, but long enough to be one" * 100)
    done = routilux(directory, "store", *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
