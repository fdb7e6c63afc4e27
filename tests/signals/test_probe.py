"""Truths that the probe must find, on a machine however busy: shares, never durations."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from routilux.insight.trace import ThreadState
from routilux.signals.probe import MOST_AT_ONCE, Probe
from routilux.signals.syscalls import AARCH64, NUMBERS, STATES, X86_64, Call, Calls

PYTHON, NATIVE, GIL, LOCK = ThreadState.PYTHON, ThreadState.NATIVE, ThreadState.GIL, ThreadState.LOCK
MISSED = ThreadState.MISSED
NET, FILE, SLEEP, CHILD, OTHER = (
    ThreadState.NET,
    ThreadState.FILE,
    ThreadState.SLEEP,
    ThreadState.CHILD,
    ThreadState.OTHER,
)
CORE = ThreadState.CORE
ENOUGH = 60
"""Looks of which shares are taken."""

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
seeing = pytest.mark.skipif(Probe().blind is not None, reason=str(Probe().blind))


def shares(work: Callable[[], object], workers=1, enough=ENOUGH):
    """The share of each state of so many workers that do something over and over again."""
    probe = Probe(hertz=100)
    stopping = threading.Event()

    def run():
        watched = probe.watch()
        while not stopping.is_set():
            watched.enter("it")
            work()
            watched.leave()

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    with probe:
        while sum(probe.states.get("it", {}).values()) < enough * workers:
            stopping.wait(0.05)
        stopping.set()
        for thread in threads:
            thread.join()
    counts = probe.states["it"]
    return {state: counts.get(state, 0) / sum(counts.values()) for state in ThreadState}, probe


def spin():
    total = 0
    for number in range(50_000):
        total += number * number
    return total


@seeing
@pytest.mark.skipif(not HAS_GIL, reason="There is no GIL to be held.")
def test_of_four_threads_that_compute_one_holds_the_gil_and_three_wait_for_it():
    found, probe = shares(spin, workers=4, enough=100)
    assert found[PYTHON] == pytest.approx(0.25, abs=0.1)
    assert found[GIL] + found[MISSED] == pytest.approx(0.75, abs=0.1)
    assert found[GIL] > 0.1
    assert probe.gil_busy > 0.7


@seeing
@pytest.mark.skipif(not HAS_GIL, reason="There is no GIL to be held.")
def test_a_thread_that_computes_alone_holds_the_gil():
    found, _ = shares(spin)
    assert found[PYTHON] > 0.8


@seeing
def test_of_four_threads_with_one_lock_three_wait_for_it():
    lock = threading.Lock()

    def hold():
        with lock:
            time.sleep(0.02)

    found, _ = shares(hold, workers=4)
    assert found[LOCK] == pytest.approx(0.75, abs=0.1)
    assert found[SLEEP] == pytest.approx(0.25, abs=0.1)


@seeing
@pytest.mark.skipif(not HAS_GIL, reason="There is no GIL to be held.")
def test_handlers_that_compute_for_less_than_a_switch_interval_are_seen_as_often_as_others():
    """They end before the probe gets the GIL, which it asked for while they ran."""
    probe = Probe(hertz=200)
    stopping = threading.Event()

    def run():
        watched = probe.watch()
        while not stopping.is_set():
            watched.enter("computes")
            until = time.thread_time() + 0.003
            while time.thread_time() < until:
                pass
            watched.leave()
            watched.enter("sleeps")
            time.sleep(0.003)
            watched.leave()

    worker = threading.Thread(target=run)
    worker.start()
    with probe:
        while sum(sum(counts.values()) for counts in probe.states.values()) < 200:
            stopping.wait(0.05)
        stopping.set()
        worker.join()
    computing, sleeping = (probe.states[name] for name in ("computes", "sleeps"))
    assert sum(computing.values()) > sum(sleeping.values()) / 3
    assert computing[PYTHON] > 0.7 * sum(computing.values())
    assert sleeping[SLEEP] > computing.get(SLEEP, 0)  # others on the machine may have it wait for more than that


@seeing
def test_a_hash_of_much_data_runs_without_the_gil():
    data = bytes(4_000_000)
    found, _ = shares(lambda: hashlib.sha256(data).digest())
    assert found[NATIVE] + found[CORE] > 2 * (found[PYTHON] + found[GIL])
    assert found[NATIVE]


@seeing
def test_a_sleep_is_seen_as_one():
    found, probe = shares(lambda: time.sleep(0.05))
    assert found[SLEEP] > 0.8
    assert probe.gil_busy < 0.5


@seeing
def test_who_waits_at_a_socket_waits_for_the_network():
    near, far = socket.socketpair()

    def answer():
        while request := far.recv(1):
            time.sleep(0.05)
            far.sendall(request)

    server = threading.Thread(target=answer)
    server.start()

    def ask():
        near.sendall(b"?")
        near.recv(1)

    found, _ = shares(ask)
    near.close()
    server.join()
    far.close()
    assert found[NET] > 0.8


@seeing
@pytest.mark.parametrize("captures", [False, True], ids=["inherits", "captures"])
def test_who_waits_for_another_program_waits_for_a_child(captures):
    command = [sys.executable, "-S", "-c", "import time; time.sleep(0.3)"]
    found, _ = shares(lambda: subprocess.run(command, capture_output=captures, check=True), enough=80)
    assert found[CHILD] > 0.6


@seeing
def test_what_a_worker_does_between_handlers_is_not_counted():
    probe = Probe(hertz=200)
    with probe:
        watched = probe.watch()
        time.sleep(0.05)
        assert probe.states == {}
        watched.enter("it")
        while not probe.states:
            time.sleep(0.01)


@seeing
def test_many_workers_are_looked_at_in_turn():
    found, _ = shares(lambda: time.sleep(0.02), workers=MOST_AT_ONCE + 4, enough=5)
    assert found[SLEEP] > 0.6


def test_where_the_kernel_does_not_show_it_the_probe_is_blind_and_says_why():
    with Probe(hertz=200, machine="vax") as probe:
        watched = probe.watch()
        watched.enter("it")
        spin()
    assert probe.blind is not None
    assert "vax" in probe.blind
    assert probe.states == {}
    assert 0 <= probe.gil_busy <= 1


@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
def test_every_call_has_a_number_of_its_own_and_a_state(numbers):
    assert len(set(numbers.values())) == len(numbers)
    calls = Calls(numbers)
    for state, names in STATES.items():
        for name in names:
            if name in numbers:
                assert calls.state_in(Call(numbers[name], 0)) is state
    assert calls.state_in(Call(-1, 0)) is OTHER
    assert set(AARCH64) <= set(X86_64)


def test_a_read_is_named_for_what_is_read(tmp_path):
    calls = Calls(X86_64)
    path = tmp_path / "file"
    path.write_text("text")
    reading, writing = os.pipe()
    with path.open() as file, socket.socket() as connection:
        found = [
            calls.state_in(Call(X86_64["read"], one)) for one in (file.fileno(), connection.fileno(), reading, 10**6)
        ]
    os.close(reading)
    os.close(writing)
    if sys.platform == "linux":
        assert found == [FILE, NET, CHILD, OTHER]
    assert calls.state_in(Call(X86_64["poll"], 1)) is NET
