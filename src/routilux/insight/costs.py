"""What it costs to run an activation in each mode on one machine, whatever its handler does."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, but for those a byte. The defaults are those of a small cloud machine; `calibration` measures them."""

    sequential: float = 1e-6
    thread: float = 2.5e-6
    """With the GIL held."""
    thread_wake: float = 40e-6
    """Until a thread that had nothing to do has begun."""
    loop: float = 8e-6
    loop_wait: float = 15e-6
    """Of the loop's own time, for each time that a coroutine waits."""
    loop_timer: float = 0.4e-3
    """By how much a coroutine's wait is longer than a thread's: timers are rounded up."""
    process_send: float = 10e-6
    """Of the calling process, with its GIL held; as is the next."""
    process_receive: float = 10e-6
    process_child: float = 15e-6
    """Of the process that runs the handler."""
    process_wake: float = 80e-6
    """Until a process, or the thread that waits for its answer, has begun."""
    byte_send: float = 0.5e-9
    """Of the calling process, for each byte of arguments; as the next of the other."""
    byte_child: float = 0.5e-9
    gil_switch: float = 8e-6
    """For each time that the GIL's holder is made to let go."""
    recording: float = 2e-6
    """Of the CPU time of a recorded attempt, what measuring took; nothing of it is foretold."""
    recorder: float = 15e-6
    """What the engine takes more for an attempt that is recorded."""


FREE = Costs(*(0.0 for _ in fields(Costs)))
"""Nothing costs anything: what a schedule alone would give."""
