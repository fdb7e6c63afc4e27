"""`routilux jobs`, run as a user would, on real stores: finished, failed, killed, in use, damaged, of strange names."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from routilux.durable.account import RestKind, account_of
from routilux.stores.port import Entry, NewJob
from routilux.stores.sqlite.store import open_store
from tests.cli.here import here
from tests.cli.test_commands import routilux as elsewhere

SHOP = """
import os, signal, threading
from pathlib import Path
from routilux import Context, Flow, Retry, collect, routine

@routine
def read(count: int):
    yield from range(count)

@routine
def charge(order: int) -> int:
    Path("charged").open("a").write(f"{order}\\n")
    if order == 2 and Path("broken").exists():
        raise ConnectionError("no \\x1b[31mcard\\u202e reader")
    if order == 2 and Path("deadly").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if order == 2 and Path("endless").exists():
        print("waiting", flush=True)
        threading.Event().wait()
    return order * 10

@routine(fires=collect())
def total(amounts: list[int]) -> int:
    return sum(amounts)

def chained(name, **settings):
    flow = Flow(name, **settings)
    for one in (read, charge, total):
        flow.add_routine(one)
    flow.chain("read", "charge", "total")
    return flow

orders = chained("orders", store="jobs.db")
storeless = chained("orders")
threaded = chained("orders", execution_mode="concurrent")

def shorter():
    flow = Flow("orders", store="jobs.db")
    flow.add_routine(read)
    return flow
"""
RUN = (
    "import shop; job = shop.orders.execute('read', {'count': 4}, key='monday'); shop.orders.close(); print(job.job_id)"
)
HOLD = """
import sys
from routilux.stores.sqlite.store import open_store
with open_store(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""
STRANGE = "a\x1b[2Jb\r\nc\u202ed"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The current directory of the commands: a module with a flow."""
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def routilux(directory: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Whatever imports a flow runs in a process of its own."""
    imports = not {"resume", "retry"}.isdisjoint(arguments)
    return elsewhere(directory, command, *arguments) if imports else here(directory, command, *arguments)


def run(directory: Path, *touched: str) -> str:
    """Submits a job in a process of its own, with these files there, and gives its id."""
    for name in touched:
        (directory / name).touch()
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=50)
    for name in touched:
        (directory / name).unlink()
    assert done.returncode == (-signal.SIGKILL if "deadly" in touched else 0), done.stderr
    with open_store(directory / "jobs.db", read_only=True) as store:
        return next(store.jobs()).job_id


def charged(directory: Path) -> list[int]:
    return sorted(map(int, (directory / "charged").read_text().split()))


def told(directory: Path, *arguments: str, code: int = 0) -> dict:
    done = routilux(directory, "jobs", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["resume"], ["retry"], ["cancel"], ["purge"], ["export"]])
def test_help_shows_examples_and_exit_codes(directory: Path, command: list[str]) -> None:
    done = routilux(directory, "jobs", *command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "routilux jobs resume shop:orders" in done.stdout
    assert "5 in use by" in done.stdout


def test_a_job_is_listed_and_described(directory: Path) -> None:
    job = run(directory)
    listed = routilux(directory, "jobs", "list", "jobs.db")
    assert job in listed.stdout
    assert "monday" in listed.stdout
    assert "completed" in listed.stdout
    shown = routilux(directory, "jobs", "show", "jobs.db", job)
    assert shown.stdout.startswith(f"Job {job} of flow 'orders': completed.")
    assert "60" not in shown.stdout.partition("Attempts")[0].partition("count")[2]
    assert "Left the flow" not in shown.stdout
    with_payloads = routilux(directory, "jobs", "show", "jobs.db", job, "--payloads")
    assert "count = 4" in with_payloads.stdout
    assert "total: 60" in with_payloads.stdout
    found = told(directory, "show", "jobs.db", job, "--payloads")
    assert (found["status"], found["key"], found["entry"], found["rests"]) == ("completed", "monday", "read", [])
    assert {name: tally["completed"] for name, tally in found["routines"].items()} == {
        "read": 1,
        "charge": 4,
        "total": 1,
    }
    assert (found["params"], found["results"]) == ({"count": 4}, {"total": [60]})
    assert "params" not in told(directory, "show", "jobs.db", job)


def test_a_list_can_be_narrowed(directory: Path) -> None:
    with open_store(directory / "jobs.db") as store:
        for number in range(5):
            store.submit(NewJob(f"job {number}", f"flow {number % 2}", None, b"{}"))
        store.set_status("job 4", "failed")
    assert [job["job"] for job in told(directory, "list", "jobs.db")["jobs"]] == [f"job {n}" for n in (4, 3, 2, 1, 0)]
    assert [job["job"] for job in told(directory, "list", "jobs.db", "--flow", "flow 1")["jobs"]] == ["job 3", "job 1"]
    assert [job["job"] for job in told(directory, "list", "jobs.db", "--status", "failed")["jobs"]] == ["job 4"]
    cut = told(directory, "list", "jobs.db", "--limit", "2")
    assert (len(cut["jobs"]), cut["more"]) == (2, True)
    assert routilux(directory, "jobs", "list", "jobs.db", "--status", "lost").returncode == 2
    assert "No jobs." in routilux(directory, "jobs", "list", "jobs.db", "--flow", "none").stdout


def test_a_failed_job_says_why_and_is_tried_again(directory: Path) -> None:
    job = run(directory, "broken")
    (failure,) = told(directory, "show", "jobs.db", job)["failures"]
    assert (failure["routine_id"], failure["decision"]) == ("charge", "stop")
    assert "shop.py:" in failure["where"]
    shown = routilux(directory, "jobs", "show", "jobs.db", job).stdout
    assert r"ConnectionError: no \x1b[31mcard\u202e reader" in shown
    assert harmless(shown)
    refused = routilux(directory, "jobs", "resume", "shop:orders", job)
    assert refused.returncode == 6
    assert f"Flow 'orders': 1 stored job cannot go on. Job {job} has failed, and nothing" in refused.stderr
    assert f"`routilux jobs retry shop:orders {job}` tries again" in refused.stderr
    assert "retry_failed" not in refused.stderr
    (directory / "charged").unlink()
    again = told(directory, "retry", "shop:orders", job)
    assert [(one["job"], one["status"], one["results"]) for one in again["jobs"]] == [
        (job, "completed", {"total": [60]})
    ]
    assert charged(directory) == [2, 3]
    assert told(directory, "show", "jobs.db", job)["status"] == "completed"
    assert routilux(directory, "jobs", "retry", "shop:orders", job).returncode == 6


@pytest.mark.parametrize("command", [["resume", "jobs.db"], ["resume", "none.db"], ["retry", "jobs.db", "job"]])
def test_a_store_in_place_of_a_flow_is_told_what_is_wanted(directory: Path, command: list[str]) -> None:
    (directory / "jobs.db").touch()
    done = routilux(directory, "jobs", *command)
    assert done.returncode == 2
    assert f"'{command[1]}' is a file, and what is to run are the routines of a flow: write module:flow." in done.stderr
    assert "--store FILE names another" in done.stderr


def test_a_job_that_fails_again_is_a_failure_of_the_command(directory: Path) -> None:
    job = run(directory, "broken")
    (directory / "broken").touch()
    done = routilux(directory, "jobs", "retry", "shop:orders", job)
    assert done.returncode == 1
    assert "failed" in done.stdout


@pytest.mark.parametrize("target", [["shop:orders"], ["shop:storeless", "--store", "jobs.db"]])
def test_what_a_kill_left_goes_on(directory: Path, target: list[str]) -> None:
    job = run(directory, "deadly")
    found = told(directory, "show", "jobs.db", job)
    assert (found["status"], found["failures"]) == ("pending", [])
    assert "not closed since" in routilux(directory, "jobs", "show", "jobs.db", job).stdout
    done = routilux(directory, "jobs", "resume", *target)
    assert (done.returncode, done.stderr) == (0, "")
    assert "completed" in done.stdout
    assert set(charged(directory)) == {0, 1, 2, 3}
    assert told(directory, "resume", "shop:orders") == {"jobs": [], "refused": {}}
    assert "has nothing to go on with" in routilux(directory, "jobs", "resume", "shop:orders").stdout


def test_jobs_go_on_in_the_mode_that_they_were_submitted_in(directory: Path) -> None:
    command = "import shop; shop.threaded.execute('read', {'count': 4}, store='jobs.db')"
    (directory / "deadly").touch()
    assert subprocess.run([sys.executable, "-c", command], cwd=directory, check=False, timeout=50).returncode == -9
    (directory / "deadly").unlink()
    (job,) = told(directory, "resume", "shop:storeless", "--store", "jobs.db")["jobs"]
    assert job["results"] == {"total": [60]}
    assert told(directory, "show", "jobs.db", job["job"])["mode"] == "concurrent"


def test_a_paused_job_goes_on_when_it_is_named(directory: Path) -> None:
    job = run(directory, "deadly")
    assert routilux(directory, "jobs", "pause", "jobs.db", job).returncode == 0
    assert told(directory, "show", "jobs.db", job)["status"] == "paused"
    passed_over = routilux(directory, "jobs", "resume", "shop:orders")
    assert passed_over.returncode == 0
    assert f"Job {job} is paused" in passed_over.stderr
    assert routilux(directory, "jobs", "resume", "shop:orders", job).returncode == 0
    assert told(directory, "show", "jobs.db", job)["status"] == "completed"


def test_a_cancelled_job_never_goes_on(directory: Path) -> None:
    job = run(directory, "deadly")
    before = charged(directory)
    for _ in range(2):
        done = routilux(directory, "jobs", "cancel", "jobs.db", job, "--reason", "no \x1b[1mneed")
        assert done.returncode == 0, done.stderr
    found = told(directory, "show", "jobs.db", job)
    assert (found["status"], found["cancelled_for"]) == ("cancelled", "no \x1b[1mneed")
    assert told(directory, "resume", "shop:orders")["jobs"] == []
    code = "import shop; job = shop.orders.execute('read', {'count': 4}, key='monday'); print(job.status)"
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=True)
    assert done.stdout == "cancelled\n"
    assert charged(directory) == before
    assert routilux(directory, "jobs", "pause", "jobs.db", job).returncode == 6


def test_what_was_done_to_a_job_is_told_to_programs(directory: Path) -> None:
    job = run(directory, "deadly")
    assert told(directory, "pause", "jobs.db", job) == {"job": job, "status": "paused"}
    assert told(directory, "cancel", "jobs.db", job) == {"job": job, "status": "cancelled"}
    assert told(directory, "purge", "jobs.db", job) == {"removed": 1, "job": job}


def test_a_finished_job_is_not_cancelled(directory: Path) -> None:
    job = run(directory)
    done = routilux(directory, "jobs", "cancel", "jobs.db", job)
    assert done.returncode == 6
    assert "is completed already" in done.stderr


def test_jobs_are_removed_by_id_or_by_age(directory: Path) -> None:
    job = run(directory)
    assert "0 jobs are removed" in routilux(directory, "jobs", "purge", "jobs.db", "--finished-before", "7d").stdout
    assert "1 job is removed" in routilux(directory, "jobs", "purge", "jobs.db", "--finished-before", "0s").stdout
    assert routilux(directory, "jobs", "purge", "jobs.db", job).returncode == 6
    job = run(directory)
    assert routilux(directory, "jobs", "purge", "jobs.db", job).returncode == 0
    assert told(directory, "list", "jobs.db")["jobs"] == []
    assert routilux(directory, "jobs", "purge", "jobs.db").returncode == 2
    assert routilux(directory, "jobs", "purge", "jobs.db", "--finished-before", "soon").returncode == 2
    unitless = routilux(directory, "jobs", "purge", "jobs.db", "--finished-before", "7")
    assert unitless.returncode == 2
    assert '--finished-before must be a number with its unit, as "50ms", "2s", "30m" or "7d"' in unitless.stderr


@pytest.mark.parametrize("command", [["export", "jobs.db", "job"], ["list", "jobs.db"]])
def test_a_reader_that_has_gone_ends_a_command_quietly(directory: Path, command: list[str]) -> None:
    with open_store(directory / "jobs.db") as store:
        store.submit(NewJob("job", "flow", None, b"{}", [Entry("opened", 0, b"{}")] * 10_000))
    arguments = [sys.executable, "-m", "routilux.cli", "jobs", *command]
    with subprocess.Popen(arguments, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        started.stdout.close()
        complained = started.stderr.read()
    assert (complained, started.returncode) == (b"", 141)


def test_the_facts_of_a_job_are_lines_of_json(directory: Path) -> None:
    job = run(directory, "broken")
    done = routilux(directory, "jobs", "export", "jobs.db", job)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["kind"] for line in lines[:2]] == ["opened", "started"]
    assert lines[1]["fact"]["m"] == {"count": 4}
    assert harmless(done.stdout)
    assert routilux(directory, "jobs", "export", "jobs.db", job, "-o", "job.jsonl").stdout == "Wrote job.jsonl.\n"
    assert (directory / "job.jsonl").read_text() == done.stdout


@pytest.mark.parametrize("arguments", [["show"], ["export"], ["cancel"], ["pause"], ["purge"]])
def test_an_unknown_job_is_one_line_and_a_code(directory: Path, arguments: list[str]) -> None:
    run(directory)
    done = routilux(directory, "jobs", *arguments, "jobs.db", STRANGE)
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    assert harmless(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list", "nowhere.db"], 2, "does not exist"),
        (["list", "shop.py"], 4, "is damaged, or no store"),
        (["list", "other.db"], 8, "is a database, but no store"),
        (["resume", "shop:storeless"], 2, "has no store"),
        (["resume", "shop:orders", "--store", "nowhere.db"], 8, "There is no store"),
        (["resume", "shop:nothing"], 2, "has no 'nothing'"),
        (["resume", "shop:orders"], 8, "There is no store jobs.db"),
        (["retry", "shop:orders"], 2, "JOB"),
    ],
)
def test_what_cannot_be_done_says_why(directory: Path, arguments: list[str], code: int, message: str) -> None:
    with closing(sqlite3.connect(directory / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    done = routilux(directory, "jobs", *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (directory / "nowhere.db").exists()


def test_a_store_that_another_process_has_can_be_looked_at_and_not_changed(directory: Path) -> None:
    job = run(directory)
    holding = [sys.executable, "-c", HOLD, "jobs.db"]
    with subprocess.Popen(holding, cwd=directory, stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert told(directory, "list", "jobs.db")["jobs"][0]["job"] == job
        assert told(directory, "show", "jobs.db", job)["status"] == "completed"
        for arguments in (["cancel", "jobs.db", job], ["purge", "jobs.db", job], ["resume", "shop:orders"]):
            done = routilux(directory, "jobs", *arguments)
            assert done.returncode == 5
            assert f"process {holder.pid}" in done.stderr
        holder.communicate()


def test_a_flow_that_has_lost_what_a_job_needs_says_what(directory: Path) -> None:
    job = run(directory, "deadly")
    done = routilux(directory, "jobs", "resume", "shop:shorter")
    assert done.returncode == 7
    assert "has no routine 'charge' any more" in done.stderr
    assert told(directory, "resume", "shop:shorter", code=7)["refused"].keys() == {job}


def test_ctrl_c_leaves_a_job_in_its_store(directory: Path) -> None:
    job = run(directory, "deadly")
    (directory / "endless").touch()
    start = "import sys; from routilux.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "jobs", "resume", "shop:orders"]
    with subprocess.Popen(command, cwd=directory, stdout=-1, stderr=-1, text=True) as going_on:
        assert going_on.stdout is not None
        assert going_on.stderr is not None
        try:
            assert going_on.stdout.readline() == "waiting\n"
            # A signal may come just before its receiver falls asleep, and is then heeded with the next one; or while it
            # imports something, and be lost.
            while going_on.poll() is None:
                going_on.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    going_on.wait(0.5)
            said = going_on.stderr.read()
            assert "Waiting for what runs to end" in said
            assert "not over stay in the store" in said
        finally:
            going_on.kill()
    assert going_on.returncode == 130
    (directory / "endless").unlink()
    assert told(directory, "show", "jobs.db", job)["status"] == "pending"
    assert told(directory, "resume", "shop:orders")["jobs"][0]["status"] == "completed"


def test_strange_names_are_shown_and_do_nothing(directory: Path) -> None:
    with open_store(directory / "jobs.db") as store:
        store.submit(NewJob(STRANGE, STRANGE, STRANGE, b"{}", [Entry(STRANGE, 2**62, b"\xff\x00")]))
        store.set_status(STRANGE, STRANGE)
    listed = routilux(directory, "jobs", "list", "jobs.db")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert r"a\x1b[2Jb\r\nc\u202ed" in listed.stdout
    shown = routilux(directory, "jobs", "show", "jobs.db", STRANGE)
    assert shown.returncode == 4
    assert "Not all of it can be read" in shown.stdout
    assert harmless(listed.stdout + shown.stdout + shown.stderr)
    exported = routilux(directory, "jobs", "export", "jobs.db", STRANGE)
    assert exported.returncode == 4
    assert "Traceback" not in exported.stderr


def test_a_damaged_job_is_shown_as_far_as_it_can_be_read(directory: Path) -> None:
    job = run(directory)
    with closing(sqlite3.connect(directory / "jobs.db")) as connection:
        connection.execute("UPDATE facts SET body = CAST('{}' || body AS BLOB) WHERE seq = 6")
        connection.commit()
    found = told(directory, "show", "jobs.db", job, code=4)
    assert "damaged from entry 6 on" in found["damage"]
    assert found["routines"].keys() == {"read"}
    done = routilux(directory, "jobs", "export", "jobs.db", job)
    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 5


def test_what_a_job_waits_for_is_told(directory: Path) -> None:
    code = (
        "import os; from routilux import *; flow = Flow('f', store='jobs.db')\n"
        "@routine(error_strategy=Retry(3, delay=3600))\n"
        "def slow(x: int): raise ConnectionError('not yet')\n"
        "flow.add_routine(slow); job = flow.start('slow', {'x': 1})\n"
        "from routilux.stores.sqlite.store import open_store; store = open_store('jobs.db', read_only=True)\n"
        "while not [one for one in store.entries(job.job_id) if one.entry.kind == 'settled']: pass\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=directory, check=True, timeout=50)
    with open_store(directory / "jobs.db", read_only=True) as store:
        account = account_of(store, next(store.jobs()))
    (rest,) = account.rests.values()
    assert (rest.kind, rest.attempt, rest.routine_id) == (RestKind.RETRY, 2, "slow")
    assert 3590e9 < rest.at - account.stored.changed_at < 3610e9
    shown = routilux(directory, "jobs", "show", "jobs.db", account.stored.job_id).stdout
    assert "slow (activation 1) is tried again at 20" in shown
