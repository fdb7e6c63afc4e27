"""What a thread waits for, by the system call that it is in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from routilux.insight.trace import ThreadState

READS = ("read", "write", "readv", "writev")
"""Calls whose first argument says what they are about: a file, a socket or a pipe."""

POLLS = ("poll", "ppoll")
"""Calls whose first argument is where a list of such is."""

STATES = {
    ThreadState.FILE: ("pread64", "pwrite64", "preadv", "pwritev", "fsync", "fdatasync", "openat", "flock"),
    ThreadState.NET: (
        *("select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
        *("connect", "accept", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "recvmmsg"),
    ),
    ThreadState.SLEEP: ("nanosleep", "clock_nanosleep"),
    ThreadState.CHILD: ("wait4", "waitid"),
    ThreadState.LOCK: ("futex", "futex_waitv"),
}


def numbers_in(table: str) -> dict[str, int]:
    """Names with their numbers, as in a table."""
    words = table.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


X86_64 = numbers_in(
    """
    read 0  write 1  poll 7  pread64 17  pwrite64 18  readv 19  writev 20  select 23  nanosleep 35
    connect 42  accept 43  sendto 44  recvfrom 45  sendmsg 46  recvmsg 47  wait4 61  flock 73  fsync 74
    fdatasync 75  futex 202  clock_nanosleep 230  epoll_wait 232  waitid 247  openat 257  pselect6 270
    ppoll 271  epoll_pwait 281  accept4 288  preadv 295  pwritev 296  recvmmsg 299  epoll_pwait2 441
    futex_waitv 449
    """
)

AARCH64 = numbers_in(
    """
    epoll_pwait 22  flock 32  openat 56  read 63  write 64  readv 65  writev 66  pread64 67  pwrite64 68
    preadv 69  pwritev 70  pselect6 72  ppoll 73  fsync 82  fdatasync 83  waitid 95  futex 98  nanosleep 101
    clock_nanosleep 115  accept 202  connect 203  sendto 206  recvfrom 207  sendmsg 211  recvmsg 212
    accept4 242  recvmmsg 243  wait4 260  epoll_pwait2 441  futex_waitv 449
    """
)

NUMBERS = {"x86_64": X86_64, "aarch64": AARCH64}
"""By `platform.machine()`: the number of each call."""


class Call(NamedTuple):
    """The system call that a thread is in."""

    number: int
    first: int
    """Its first argument."""


class Calls:
    """Names the states of threads on one kind of machine."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self.futex = frozenset(numbers[name] for name in STATES[ThreadState.LOCK])
        self._reads = frozenset(numbers[name] for name in READS)
        self._polls = frozenset(numbers[name] for name in POLLS if name in numbers)
        self._states = {numbers[name]: state for state, names in STATES.items() for name in names if name in numbers}

    def state_in(self, call: Call) -> ThreadState:
        """What a thread in this call waits for."""
        if call.number in self._reads:
            return _state_at(call.first)
        if call.number in self._polls:
            return _polled(call.first)
        return self._states.get(call.number, ThreadState.OTHER)


def _state_at(descriptor: int) -> ThreadState:
    """What somebody waits for who reads or writes there: what is at a pipe's other end is mostly a child."""
    try:
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ThreadState.OTHER
    if target.startswith("socket:"):
        return ThreadState.NET
    return ThreadState.CHILD if target.startswith("pipe:") else ThreadState.FILE


def _polled(address: int) -> ThreadState:
    """As the first of those that are polled. The list is read as a file is: by now it may be there no more."""
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:  # noqa: PTH123 -- unbuffered, at an offset
            memory.seek(address)
            first = memory.read(4)
    except (OSError, ValueError, OverflowError):
        return ThreadState.NET
    return _state_at(int.from_bytes(first, "little"))
