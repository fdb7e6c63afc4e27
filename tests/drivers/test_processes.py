"""Handlers in worker processes, through the driver's port."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from routilux import Context, Routine, routine
from routilux.drivers.port import Stopping
from routilux.errors import RemoteError, UnsendableError, WorkerLostError
from routilux.parcel import Parcel
from tests.drivers.host import PATIENCE, station_of
from tests.effects import Effects
from tests.leftovers import workers

DEATHS = {
    "died of SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "left with exit code 3": lambda: os._exit(3),
    "died of SIGSEGV": lambda: ctypes.string_at(0),
}

GIGANTIC = 12_500_000
"""So many floats are 100 MB."""


@routine
def doubled(x):
    return 2 * x


class Accumulator(Routine):
    """Keeps a sum, and emits it on an event of its own."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.define_slot("x", handler=self.add)
        self.define_event("sum")

    def add(self, x):
        self.state["sum"] = self.state.get("sum", 0) + self.factor * x
        self.emit("sum", self.state["sum"])


class FussyError(Exception):
    """Survives pickling, but not being read back."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


class Unreadable:
    """Survives pickling, but not being read back."""

    def __reduce__(self):
        return int, ("not a number",)


def wait_until(said) -> None:
    """Waits for what only another process can do."""
    until = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < until
        time.sleep(0.005)


# --- plain work


def test_a_thousand_activations_give_what_the_plain_calls_give(processes):
    host = processes()
    assert host.values(station_of(doubled, "x"), range(1000)) == [2 * x for x in range(1000)]
    assert all(len(outcomes) == 1 for outcomes in host.outcomes.values())


def test_the_work_is_spread_over_the_workers_and_its_moments_are_those_of_this_process(processes, tmp_path):
    there = Effects(tmp_path / "there")

    def meets(x):
        if x < 2:  # the first two wait for each other
            there(x)
            wait_until(lambda: len(there.all()) == 2)
        time.sleep(0.002)
        return os.getpid()

    host = processes(2)
    before = time.perf_counter_ns()
    pids = host.values(station_of(meets, "x"), range(100))
    after = time.perf_counter_ns()
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    for (outcome,) in host.outcomes.values():
        assert before < outcome.began < outcome.ended < after
        assert outcome.ended - outcome.began >= 2_000_000
        assert outcome.worker in (0, 1)


def test_room_grows_with_what_is_known_of_the_handlers(processes):
    host = processes(2)
    assert host.driver.free == 2
    assert host.driver.window == 4
    host.values(station_of(lambda x: x, "x"), range(500))
    assert host.driver.free > 50
    assert host.driver.window > 50


def test_a_worker_starts_only_when_it_is_needed(processes):
    host = processes(5)
    assert workers() == []
    host.values(station_of(doubled, "x"), [1])
    assert len(workers()) == 1


def test_closures_lambdas_methods_and_contexts_work(processes):
    host, offset = processes(), 5

    def shifted(x):
        return x + offset

    @routine(events=["even", "odd"])
    def sorted_out(x, ctx: Context):
        ctx.emit("odd" if x % 2 else "even", (x, ctx.routine_id, ctx.attempt, ctx.job_id))

    async def awaited(x):
        return x + 1

    assert host.values(station_of(shifted, "x"), [1, 2]) == [6, 7]
    assert host.values(station_of(lambda x: -x, "x"), [1, 2]) == [-1, -2]
    assert host.values(station_of(awaited, "x"), [1, 2]) == [2, 3]
    activation = host.start(station_of(sorted_out, "x"), 3)
    host.wait()
    assert host.outcomes[activation[0], 1][0].emissions == [("odd", (3, "it", 1, "job"))]


def test_two_slots_of_a_job_are_two_arguments(processes):
    host = processes(1)
    activation = host.start(station_of(lambda left, right: (left, right), "left", "right"), 1, 2)
    host.wait()
    assert host.value(activation) == (1, 2)


def test_what_a_handler_prints_comes_out_of_this_program(processes, capfd):
    host = processes(1)
    activation = host.start(station_of(lambda x: print("hello from", x) or x, "x"), 7)
    host.wait()
    assert host.value(activation) == 7
    assert capfd.readouterr().out == "hello from 7\n"


def test_state_follows_its_routine_from_worker_to_worker(processes):
    host = processes(2)
    station = station_of(Accumulator(10), "x")
    station.keeps_state = True
    for x in range(1, 6):
        host.start(station, x)
        host.start(station_of(lambda x: x, "x"), x)
        host.wait()
    sums = [value for (outcome,) in host.outcomes.values() for event, value in outcome.emissions if event == "sum"]
    assert sums == [10, 30, 60, 100, 150]
    assert host.seat(station).course.states == {"it": {"sum": 150}}


# --- deaths


@pytest.mark.parametrize("how", DEATHS)
def test_a_worker_that_dies_harms_only_what_it_was_running(processes, effects, how):
    host, death = processes(2), DEATHS[how]

    def work(x):
        effects(x)
        if x in (100, 300):
            death()
        return x

    values = host.values(station_of(work, "x"), range(400))
    lost = [value for value in values if isinstance(value, WorkerLostError)]
    assert len(lost) == 2
    assert all("Flow 'test', routine 'it': worker" in str(error) and how in str(error) for error in lost)
    assert [value for value in values if not isinstance(value, WorkerLostError)] == [
        x for x in range(400) if x not in (100, 300)
    ]
    assert sorted(map(int, effects.all())) == list(range(400))


def test_workers_that_are_killed_from_outside_again_and_again_lose_one_attempt_each(processes, effects):
    host = processes(2)

    def work(x):
        effects(x)
        time.sleep(0.001)
        return x

    activations = host.start_all(station_of(work, "x"), range(1000))
    for kills in range(1, 7):
        wait_until(lambda wanted=100 * kills: len(effects.all()) > wanted and workers())
        os.kill(workers()[0], signal.SIGKILL)
    host.wait()
    values = [host.value(activation) for activation in activations]
    assert sum(isinstance(value, WorkerLostError) for value in values) <= 6
    assert all(isinstance(value, WorkerLostError) or value == x for x, value in enumerate(values))
    assert sorted(map(int, effects.all())) == sorted(set(map(int, effects.all())))


def test_a_worker_that_leaves_a_fork_of_itself_behind_is_seen_to_die(processes, effects):
    host = processes(1)

    def work(x):
        if os.fork() == 0:
            effects(os.getpid())
            signal.pause()
        os._exit(5)

    (error,) = host.values(station_of(work, "x"), [1])
    assert "left with exit code 5" in str(error)
    wait_until(effects.all)
    os.kill(int(effects.all()[0]), signal.SIGKILL)


def test_workers_do_not_heed_ctrl_c(processes, effects):
    host = processes(1)
    station = station_of(lambda x: (effects(os.getpid()), time.sleep(0.1), x)[2], "x")
    activation = host.start(station, 1)
    wait_until(effects.all)
    os.kill(int(effects.all()[0]), signal.SIGINT)
    host.wait()
    assert host.value(activation) == 1


def test_an_idle_worker_that_was_killed_is_replaced_without_anybody_noticing(processes):
    host = processes(1)
    station = station_of(lambda x: os.getpid(), "x")
    (first,) = host.values(station, [1])
    os.kill(first, signal.SIGKILL)
    (second,) = host.values(station, [2])
    assert first != second


def test_a_worker_that_is_gone_before_it_says_hello_is_told_of_after_three_tries(processes, tmp_path, monkeypatch):
    (tmp_path / "cloudpickle.py").write_text("raise SystemError('broken installation')")
    monkeypatch.syspath_prepend(str(tmp_path))
    host = processes(1)
    (error,) = host.values(station_of(doubled, "x"), [1])
    assert isinstance(error, WorkerLostError)
    assert "the last of 3 left with exit code 1" in str(error)
    assert "broken installation" in str(error)


# --- stopping


def test_stopping_ends_the_worker_and_nobody_elses_attempt(processes, effects):
    host = processes(2)

    def work(x):
        effects(x)
        if x == "hang":
            time.sleep(3600)
        return x

    station = station_of(work, "x")
    host.values(station, range(20))
    hanging = host.start(station, "hang")
    others = host.start_all(station, range(100, 140))
    wait_until(lambda: "hang" in effects.all())
    assert host.stop(station, hanging) is Stopping.STOPPED
    host.wait()
    assert [host.value(other) for other in others] == list(range(100, 140))
    assert len(effects.all()) == len(set(effects.all())) == 61
    assert (hanging[0], 1) not in host.outcomes


def test_what_has_not_begun_can_be_taken_back(processes, effects, tmp_path):
    host, gate = processes(1), tmp_path / "gate"

    def work(x):
        effects(x)
        while x == "wait" and not gate.exists():
            time.sleep(0.001)
        return x

    station = station_of(work, "x")
    host.values(station, range(50))
    host.start(station, "wait")
    wait_until(lambda: "wait" in effects.all())
    later = host.start_all(station, ["a", "b", "c"])
    assert host.stop(station, later[1]) is Stopping.NEVER_STARTED
    gate.touch()
    host.wait()
    assert effects.all()[-2:] == ["a", "c"]
    assert (later[1][0], 1) not in host.outcomes
    assert host.stop(station, later[0]) is Stopping.ASKED


def test_what_waits_behind_a_slow_handler_is_run_by_another_worker(processes, effects, tmp_path):
    host, gate = processes(2), tmp_path / "gate"

    def work(x):
        effects(x)
        while x == 0 and not gate.exists():
            time.sleep(0.001)
        return x

    station = station_of(work, "x")
    host.values(station, range(1000, 1200))
    host.start_all(station, range(100))
    wait_until(lambda: len(effects.all()) == 300)
    assert len(host.outcomes) < 300
    gate.touch()
    host.wait()
    assert len(effects.all()) == 300


def test_a_handler_can_see_that_it_is_cancelled(processes, effects):
    host = processes(1)

    @routine
    def work(x, ctx: Context):
        effects("begun")
        while not ctx.cancelled:
            time.sleep(0.001)
        return "cancelled"

    station = station_of(work, "x")
    activation = host.start(station, 1)
    wait_until(effects.all)
    host.driver.warn(host.seat(station), activation)
    host.wait()
    assert host.value(activation) == "cancelled"


# --- what cannot travel


def test_an_input_that_cannot_be_pickled_fails_alone(processes):
    host = processes(2)
    values = host.values(station_of(doubled, "x"), [1, {"a": [0, threading.Lock()]}, 3])
    assert values[::2] == [2, 6]
    assert isinstance(values[1], UnsendableError)
    assert "Flow 'test', routine 'it': its input 'x' cannot be sent" in str(values[1])
    assert "its input 'x'['a'][1] is a _thread.lock" in str(values[1])


class Shy:
    """Cannot be pickled, and does not even say what it has."""

    __slots__ = ()

    def __getattr__(self, name):
        raise RuntimeError(f"no session for {name}")

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle it")

    def __repr__(self):
        raise RuntimeError("nothing to show")

    def __hash__(self):
        return 1


@pytest.mark.parametrize("value", [Shy(), {Shy(): threading.Lock()}], ids=["attributes", "key"])
def test_an_input_that_cannot_even_be_looked_at_fails_alone(processes, value):
    values = processes(1).values(station_of(doubled, "x"), [1, value, 3])
    assert values[::2] == [2, 6]
    assert isinstance(values[1], UnsendableError)


def test_a_result_or_state_that_cannot_be_pickled_names_routine_and_value(processes):
    host = processes(1)

    @routine(keeps_state=True)
    def keeper(x, ctx: Context):
        ctx.state["lock"] = threading.Lock()

    (error,) = host.values(station_of(lambda x: [x, threading.Lock()], "x"), [1])
    assert isinstance(error, UnsendableError)
    assert "routine 'it': what it emitted on 'output' cannot be sent" in str(error)
    assert "on 'output'[1] is a _thread.lock" in str(error)
    station = station_of(keeper, "x")
    station.keeps_state = True
    (error,) = host.values(station, [1])
    assert "its state['lock'] is a _thread.lock" in str(error)


def test_a_result_that_cannot_be_read_back_is_an_error_of_its_own(processes):
    host = processes(1)
    values = host.values(station_of(lambda x: Unreadable() if x == 1 else x, "x"), range(3))
    assert values[::2] == [0, 2]
    assert isinstance(values[1], UnsendableError)
    assert "cannot be read back: ValueError" in str(values[1])


def test_an_input_that_cannot_be_read_there_is_an_error_and_no_dead_worker(processes):
    host = processes(1)
    values = host.values(station_of(lambda x: os.getpid(), "x"), [1, Unreadable(), 3])
    assert isinstance(values[1], ValueError)
    assert values[0] == values[2]


def test_a_handler_that_cannot_be_pickled_is_named(processes):
    host, lock = processes(1), threading.Lock()
    first, second = host.values(station_of(lambda x: lock.locked(), "x"), [1, 2])
    assert isinstance(first, UnsendableError)
    assert isinstance(second, UnsendableError)
    assert "routine 'it': its handler cannot be sent" in str(first)


def test_exceptions_come_back_with_type_notes_and_frames(processes):
    host = processes(1)

    def work(kind):
        if kind == "fussy":
            raise FussyError(1, 2)
        if kind == "exit":
            raise SystemExit(4)
        error = KeyError("k", 1)
        error.add_note("a note")
        raise error

    activations = host.start_all(station_of(work, "kind"), ["plain", "fussy", "exit"])
    host.wait()
    plain, fussy, leaving = (host.value(activation) for activation in activations)
    assert type(plain) is KeyError
    assert plain.args == ("k", 1)
    assert plain.__notes__ == ["a note"]
    assert host.outcomes[activations[0][0], 1][0].frames[-1][2] == "work"
    assert isinstance(fussy, RemoteError)
    assert "FussyError: 1 and 2" in str(fussy)
    assert isinstance(leaving, SystemExit)


# --- generators


def numbers(n, effects=None):
    for number in range(n):
        if effects is not None:
            effects((os.getpid(), number))
        yield number


def test_a_generator_stays_in_its_worker_and_gives_more_at_once_when_it_is_fast(processes):
    host = processes(2)
    station = station_of(lambda n: n, "n")
    generator = station_of(routine(numbers), "n")
    host.values(station, range(200))
    pulls, values = 0, []
    while True:
        activation = host.start(generator, 2000, number=9999)
        host.wait()
        outcome = host.outcomes[activation[0], 1][pulls]
        assert outcome.error is None
        values += [value for _, value in outcome.emissions]
        pulls += 1
        if not outcome.more:
            break
        assert outcome.asked == len(outcome.emissions)
    assert values == list(range(2000))
    assert pulls < 1000


def test_values_that_a_generator_gave_before_it_raised_are_not_lost(processes):
    host = processes(1)

    @routine
    def failing(n):
        yield from range(n)
        raise KeyError("at the end")

    generator = station_of(failing, "n")
    host.values(station_of(lambda x: x, "x"), range(200))
    values = []
    while True:
        host.start(generator, 50, number=9999)
        host.wait()
        outcome = host.outcomes[9999, 1][-1]
        values += [value for _, value in outcome.emissions]
        if outcome.error is not None:
            break
    assert values == list(range(50))
    assert isinstance(outcome.error, KeyError)


def test_the_worker_of_an_open_generator_dies_and_it_goes_on_where_it_was(processes):
    host = processes(1)
    generator = station_of(routine(numbers), "n")
    pid = host.values(station_of(lambda x: os.getpid(), "x"), [0])[0]
    host.start(generator, 3, number=9999)
    host.wait()
    os.kill(pid, signal.SIGKILL)
    host.values(station_of(lambda x: x, "x"), [1])
    host.start(generator, 3, number=9999, skip=1)
    host.wait()
    first, second = host.outcomes[9999, 1]
    assert [value for _, value in first.emissions] == [0]
    assert second.error is None
    assert second.emissions[0] == ("output", 1)


def test_a_generator_that_may_run_only_once_is_lost_with_its_worker(processes):
    host = processes(1)
    generator = station_of(routine(numbers), "n", crash_retries=0)
    pid = host.values(station_of(lambda x: os.getpid(), "x"), [0])[0]
    host.start(generator, 3, number=9999)
    host.wait()
    os.kill(pid, signal.SIGKILL)
    host.values(station_of(lambda x: x, "x"), [1])
    host.start(generator, 3, number=9999, skip=1)
    host.wait()
    lost = host.outcomes[9999, 1][1].error
    assert isinstance(lost, WorkerLostError)
    expected = rf"Flow 'test', routine 'it': worker {pid} died of SIGKILL while it had open .* activation 9999"
    assert re.search(expected, str(lost)), str(lost)


def test_forgetting_a_job_closes_its_generators(processes, effects):
    host = processes(1)

    @routine
    def careful(n):
        try:
            yield from range(n)
        finally:
            effects("closed")

    generator = station_of(careful, "n")
    host.start(generator, 10)
    host.wait()
    host.driver.forget(host.seat(generator))
    wait_until(effects.all)
    assert effects.all() == ["closed"]


# --- large values


def test_arrays_of_100_megabytes_arrive_whole_and_can_be_written_to(processes):
    host = processes(1)
    array = np.arange(GIGANTIC, dtype=np.float64)

    def work(x):
        x *= 2
        return x

    (result,) = host.values(station_of(work, "x"), [array])
    assert result[-1] == 2 * (GIGANTIC - 1)
    assert array[-1] == GIGANTIC - 1
    result[0] = 5
    assert result[0] == 5


def test_large_bytes_and_lists_arrive_whole(processes):
    host = processes(1)
    text, many = b"ab" * 5_000_000, list(range(300_000))
    assert host.values(station_of(lambda x: x[::-1], "x"), [text, many]) == [text[::-1], many[::-1]]


def test_a_value_that_stays_is_handed_from_worker_to_worker_and_freed(processes):
    host = processes(2)
    source = station_of(lambda x: (np.full(GIGANTIC // 10, float(x)), "with it"), "x")
    source.stays = frozenset({"output"})
    parcel = host.values(source, [7])[0]
    assert isinstance(parcel, Parcel)
    assert parcel.open()[0][-1] == 7.0
    assert host.values(station_of(lambda x: x[0].sum() / 7, "x"), [parcel] * 4) == [GIGANTIC // 10] * 4
    assert host.values(station_of(lambda xs: len(xs[1][0]), "xs"), [[1, parcel]]) == [GIGANTIC // 10]
    assert len(segments()) == 1
    host.outcomes.clear()
    del parcel
    wait_until(lambda: segments() == [])
    assert host.values(source, [7])[0].open()[1] == "with it"


def test_small_values_do_not_become_parcels(processes):
    host = processes(1)
    source = station_of(lambda x: x, "x")
    source.stays = frozenset({"output"})
    assert host.values(source, [7]) == [7]


def test_a_worker_that_dies_leaves_no_segment(processes):
    host = processes(1)
    array = np.zeros(GIGANTIC // 10)
    (error,) = host.values(station_of(lambda x: os.kill(os.getpid(), signal.SIGKILL), "x"), [array])
    assert isinstance(error, WorkerLostError)
    assert segments() == []


def segments(owner: int | None = None) -> list[str]:
    """The segments of the drivers of a process, by default this one."""
    owned = [
        mark.parent
        for mark in Path("/dev/shm").glob("routilux-*/owner")
        if mark.read_text() == str(owner or os.getpid())
    ]
    found = [path.name for folder in owned for path in folder.iterdir()]
    return [name for name in found if name.startswith(("to", "from")) and not name.endswith(".board")]


# --- the end


def test_closing_ends_what_hangs_and_may_be_said_twice(processes, effects):
    host = processes(2)
    station = station_of(lambda x: (effects(x), time.sleep(3600)), "x")
    activations = host.start_all(station, [1, 2])
    waiting = [station_of(doubled, "x")]
    wait_until(lambda: len(effects.all()) == 2)
    host.driver.start(host.seat(waiting[0]), (77, waiting[0], (1,), 0, 0, 1, None))
    host.driver.close()
    host.driver.close()
    assert all(isinstance(host.value(activation), WorkerLostError) for activation in activations)
    assert "ended before it could run" in str(host.outcomes[77, 1][0].error)
    assert workers() == []


MAIN = """
import os, sys, time
sys.path.insert(0, {root!r})
from tests.drivers.host import Collector, station_of
from routilux.clock import SystemClock
from routilux.drivers.processes.driver import ProcessDriver

class Point:
    def __init__(self, x):
        self.x = x

def moved(point):
    sys.stdout.write(f"worker {{os.getpid()}}\\n")
    return Point(point.x + 1)

def hang(x):
    sys.stdout.write(f"worker {{os.getpid()}}\\n")
    time.sleep(3600)

host = Collector()
host.driver = ProcessDriver(host, SystemClock(), 2, "main")
if sys.argv[1] == "plain":
    result = host.values(station_of(moved, "point"), [Point(1)])[0]
    assert isinstance(result, Point), type(result)
    print(result.x)
else:
    import numpy
    host.start(station_of(hang, "x"), numpy.zeros(1000000))
    host.start(station_of(hang, "x"), numpy.zeros(1000000))
    time.sleep(3600)
"""


def main_script(tmp_path: Path) -> Path:
    script = tmp_path / "script.py"
    script.write_text(MAIN.format(root=str(Path(__file__).parents[2])))
    return script


def test_handlers_and_classes_of_main_work_without_a_guard(tmp_path):
    command = [sys.executable, "-W", "error", str(main_script(tmp_path)), "plain"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[-1] == "2"
    assert done.stderr == ""


def test_nothing_is_left_when_the_program_is_killed(tmp_path):
    command = [sys.executable, str(main_script(tmp_path)), "hang"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            workers = [int(program.stdout.readline().split()[1]) for _ in range(2)]
            assert len(segments(program.pid)) == 2
        finally:
            program.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert segments(program.pid) == []
