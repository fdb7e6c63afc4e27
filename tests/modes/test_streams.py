"""Streams that are read late, half or never, and what their jobs become."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from routilux import Flow, routine
from routilux.errors import JobCancelledError
from tests.leftovers import ours

BOTH = pytest.mark.parametrize("mode", ["sequential", "concurrent"])
PATIENCE = 30


@routine
def numbers(n=1000):
    yield from range(n)


@routine
def same(x):
    return x


def line(mode, **settings):
    flow = Flow("line", execution_mode=mode, max_workers=2, **settings)
    flow.chain(numbers, same)
    return flow


@BOTH
def test_a_stream_that_was_never_read_is_cancelled_when_it_is_closed(mode):
    flow = line(mode)
    stream = flow.stream("numbers")
    assert stream.job.status == "pending"
    stream.close()
    assert stream.job.status == "cancelled"
    assert stream.job.wait(0)
    assert list(stream) == []
    flow.add_routine(lambda x: x, "another")


@BOTH
def test_a_stream_that_nobody_keeps_does_not_keep_its_flow_busy(mode):
    before = set(ours())
    flow = line(mode)
    flow.stream("numbers")
    flow.add_routine(lambda x: x, "another")
    assert set(ours()) <= before


@BOTH
@pytest.mark.parametrize("read", [0, 1, 3])
def test_a_block_is_left_although_a_stream_of_it_is_not_read_to_its_end(mode, read):
    with line(mode) as flow:
        stream = flow.stream("numbers", {"n": 10**9})
        assert len([next(stream) for _ in range(read)]) == read
    assert stream.job.status == "cancelled"
    assert ours() == []


@BOTH
def test_a_stream_that_was_read_to_its_end_stays_completed_when_its_block_is_left(mode):
    with line(mode) as flow:
        stream = flow.stream("numbers", {"n": 5})
        assert sorted(stream) == [0, 1, 2, 3, 4]
    assert stream.job.status == "completed"


@BOTH
@pytest.mark.parametrize("asked", ["pause", "resume", "cancel"])
def test_a_job_may_be_steered_before_its_stream_is_read(mode, asked):
    stream = line(mode).stream("numbers", {"n": 3})
    getattr(stream.job, asked)()
    if asked == "pause":
        stream.job.resume()
    if asked == "cancel":
        with pytest.raises(JobCancelledError):
            next(stream)
        assert stream.job.status == "cancelled"
    else:
        assert sorted(stream) == [0, 1, 2]
        assert stream.job.status == "completed"
    assert ours() == []


@BOTH
def test_a_cancel_while_it_is_read_ends_the_stream(mode):
    stream = line(mode).stream("numbers", {"n": 10**9})
    found = []
    with pytest.raises(JobCancelledError):
        for value in stream:
            found.append(value)
            if len(found) == 10:
                stream.job.cancel()
    assert len(found) < 100
    assert ours() == []


@BOTH
def test_a_paused_stream_goes_on_when_another_thread_resumes_it(mode):
    stream = line(mode).stream("numbers", {"n": 20})
    found = [next(stream)]
    stream.job.pause()
    reader = threading.Thread(target=lambda: found.extend(stream))
    reader.start()
    stream.job.resume()
    reader.join(PATIENCE)
    assert sorted(found) == list(range(20))


@BOTH
def test_a_source_of_a_million_goes_only_a_window_ahead_of_its_reader(mode):
    ahead = []

    @routine
    def source():
        for number in range(1_000_000):
            ahead.append(number)
            yield number

    flow = Flow("ahead", execution_mode=mode, max_workers=2)
    flow.chain(source, same)
    with flow.stream("source") as stream:
        for read in range(1, 200):
            next(stream)
            assert len(ahead) - read <= 12


@BOTH
def test_a_program_may_end_with_a_stream_half_read(mode):
    code = (
        "from routilux import Flow, routine\n"
        "@routine\ndef numbers():\n    yield from range(10**9)\n"
        f"flow = Flow('end', execution_mode='{mode}')\n"
        "flow.chain(numbers, lambda x: x)\n"
        "stream = flow.stream('numbers')\n"
        "print(type(next(stream)).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("int\n", "", 0)


INTERRUPTED = """
import signal, sys
from routilux import Flow, routine

@routine
def numbers(n):
    yield from range(n)

def interrupts(x):
    if x == 3:
        signal.raise_signal(signal.SIGINT)
    return x

flow = Flow("line", execution_mode=sys.argv[1])
flow.chain(numbers, flow.add_routine(interrupts))
stream = flow.stream("numbers", {"n": 10**9})
try:
    list(stream)
except KeyboardInterrupt:
    print(stream.job.wait(30), stream.job.status)
"""


@pytest.mark.parametrize("mode", ["concurrent", "asyncio"])
def test_ctrl_c_while_a_stream_is_read_cancels_its_job(mode):
    command = [sys.executable, "-c", INTERRUPTED, mode]
    done = subprocess.run(command, check=False, timeout=PATIENCE, capture_output=True, text=True)
    assert done.stdout == "True cancelled\n", done.stderr
