"""Starts worker processes: an interpreter of their own, so that the program's `__main__` is never run again.

A worker inherits two channels and nothing else. By one it gets its orders; nothing ever comes by the other, the
lifeline, but its end, when the driver's process is gone for whatever reason.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

FAREWELL_SECONDS = 1.0
"""For so long a worker may take to leave when it is asked to, or when its channel is closed."""

_TOLD_SECONDS = 20.0

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from routilux.drivers.processes.serve import serve; "
    "serve({channel}, {lifeline}, {board!r}, {folders!r}, {name!r})"
)


@dataclass(frozen=True, slots=True)
class Spawned:
    """A worker process, as its driver has it."""

    process: subprocess.Popen[bytes]
    channel: Connection
    lifeline: Connection
    answers_within: Callable[[float], bool]
    """Waits so many seconds for a word of it, or its end."""

    def farewell(self) -> str:
        """Sees to it that the process has ended, and says how it did."""
        self.channel.close()
        try:
            code = self.process.wait(FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.lifeline.close()
        if code < 0:
            return f"died of {_signal_name(-code)}"
        return f"left with exit code {code}"


def spawn(board: Path, folders: Sequence[Path], name: str) -> Spawned:
    """Starts a worker, and does not wait for it; `name` begins those of the files that it writes."""
    ours, theirs = Pipe()
    lifeline_end, lifeline = Pipe(duplex=False)
    handles = theirs.fileno(), lifeline_end.fileno()
    program = _PROGRAM.format(
        path=_importable(),
        channel=handles[0],
        lifeline=handles[1],
        board=str(board),
        folders=[str(folder) for folder in folders],
        name=name,
    )
    try:
        process = _started([*_interpreter(), "-c", program], handles)
    except OSError:
        ours.close()
        lifeline.close()
        raise
    finally:
        theirs.close()
        lifeline_end.close()
    return Spawned(process, ours, lifeline, _asking(ours))


def why_none_starts() -> str:
    """What a new interpreter says that only imports what a worker needs, if it says anything."""
    program = f"import sys; sys.path[:] = {_importable()!r}; import routilux.drivers.processes.serve"
    try:
        tried = subprocess.run(
            [*_interpreter(), "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TOLD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return tried.stderr.decode(errors="replace").strip()


def _interpreter() -> list[str]:
    return [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]


def _importable() -> list[str]:
    """Where this process imports from; its working directory by name, since a worker's could be another."""
    return [entry or str(Path.cwd()) for entry in sys.path if isinstance(entry, str)]


if sys.platform == "win32":

    def _asking(channel: Connection) -> Callable[[float], bool]:
        return channel.poll

    def _started(command: list[str], handles: tuple[int, int]) -> subprocess.Popen[bytes]:
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": list(handles)})
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, startupinfo=startup)

else:

    def _asking(channel: Connection) -> Callable[[float], bool]:
        """What waits for a channel; what the channel has for it makes a selector each time."""
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        return lambda seconds: bool(poll.poll(seconds * 1000))

    def _started(command: list[str], handles: tuple[int, int]) -> subprocess.Popen[bytes]:
        """With Ctrl-C blocked from its first moment, until the worker has learnt to ignore it."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=handles)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
