"""The real clock, and how it waits."""

import queue
import threading

from routilux.clock import SystemClock, next_of
from tests.modes.contract import PATIENCE


def test_a_wait_for_a_moment_ends_also_at_a_queue_that_nobody_asked_before():
    clock = SystemClock()
    waits = [clock.wait(queue.SimpleQueue(), clock.now() + 200, idle=True) for _ in range(20_000)]
    assert waits == [None] * 20_000


def test_a_message_that_is_there_is_given_though_the_moment_has_come():
    clock, inbox = SystemClock(), queue.SimpleQueue()
    inbox.put("it")
    assert clock.wait(inbox, clock.now() - 1, idle=True) == "it"
    assert clock.wait(inbox, clock.now() - 1, idle=True) is None


def test_a_message_that_comes_meanwhile_ends_the_wait():
    inbox = queue.SimpleQueue()
    threading.Timer(0.01, inbox.put, ["it"]).start()
    assert next_of(inbox, PATIENCE) == "it"
