"""A job whose process is killed again and again gives what it would have given, and does little twice."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from routilux.durable.payload import Payloads
from routilux.durable.records import Records
from routilux.durable.stored_error import known_exceptions
from routilux.facts import Begun, Opened, Settled
from routilux.payloads import Codec
from routilux.stores.opening import check, open_store
from tests.durable.program import expected

PROGRAM = Path(__file__).with_name("program.py")
IN_FLIGHT = {"sequential": 1, "concurrent": 4, "asyncio": 4, "multiprocessing": 40}
"""How many may run, or have run without anybody knowing: between processes they travel in batches."""


def run(store, effects, mode, count, kill_after):
    """The program's output; `None` if it was killed first, after so many seconds."""
    arguments = [sys.executable, "-X", "faulthandler", str(PROGRAM), str(store), str(effects), mode, str(count)]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    assert process.returncode == 0, errors
    return output.strip()


def facts_of(path):
    """All that is kept of the one job in a store."""
    with open_store(path, read_only=True) as store:
        (job,) = store.jobs()
        records = Records(Payloads(Codec(), lambda data: "", store.load), known_exceptions())
        return job, [records.read(one.entry.kind, one.entry.body).fact for one in store.entries(job.job_id)]


def audit(path, effects, count, in_flight):
    """Holds what a store, and the lines that handlers wrote, say against what was promised."""
    assert check(path).whole
    job, facts = facts_of(path)
    assert job.status == "completed"
    ended = Counter((one.activation_id, one.attempt) for one in facts if isinstance(one, Settled) and not one.more)
    assert set(ended.values()) == {1}, "an attempt ended twice"
    lines = [line.split()[1:] for line in effects.read_text().splitlines()]
    activations = defaultdict(set)
    for number, activation in lines:
        activations[number].add(activation)
    assert set(activations) == {str(number) for number in range(count)}, "something was never done"
    assert all(len(ids) == 1 for ids in activations.values()), "the same work came under two ids"
    attempts = Counter(one.activation_id for one in facts if isinstance(one, Settled) and one.error is not None)
    again = len(lines) - count - sum(attempts.values())
    assert 0 <= again <= in_flight, "more ran again than was running"
    return facts


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_kills_at_random_change_no_result_that_is_kept_on_a_server(mode, server, tmp_path):
    hold_against_kills(mode, server.dsn(f"kills_{mode}"), tmp_path)


def hold_against_kills(mode, store, folder):
    """Runs the program until it is not killed any more."""
    chance, count = random.Random(f"kills {mode}"), 120
    effects = folder / "effects"
    kills, output = 0, None
    while output is None:
        output = run(store, effects, mode, count, chance.uniform(0.2, 0.8) if kills < 5 else 60)
        kills += output is None
    assert output == f"completed {expected(count)}"
    facts = audit(store, effects, count, kills * IN_FLIGHT[mode])
    # What could have been the cause of a crash is noted before it runs again, and nothing else is.
    fired = [one.fired for one in facts if isinstance(one, Opened)]
    assert all(one.activation_id <= max(fired) for one in facts if isinstance(one, Begun))


def test_a_job_that_was_over_is_not_run_again(tmp_path):
    store, effects = tmp_path / "jobs.db", tmp_path / "effects"
    first = run(store, effects, "concurrent", 20, 60)
    written = effects.read_text()
    assert run(store, effects, "concurrent", 20, 60) == first == f"completed {expected(20)}"
    assert effects.read_text() == written
