"""Twelve handlers of known kinds, recorded alone and with seven others at once, and what is said of them."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.insight.subjects import count, numbers
from benchmarks.insight.work import Server, Work, server
from benchmarks.measure import Figure
from routilux import Flow
from routilux.insight.verdict import Kind, verdicts_of

ATTEMPTS = 400
TOGETHER = 8
UNSURE = 2
"""So many may be called not sure."""

Handlers = Mapping[str, tuple[Kind, Callable[[], object]]]


def verdicts(scale: float) -> Iterator[tuple[str, Kind, str]]:
    """What each is recorded as, its kind, and what is said of it; as it comes."""
    with server() as far, tempfile.TemporaryDirectory() as folder, _answering() as asked:
        for label, (kind, handler) in _labelled(Work(), far, Path(folder), asked).items():
            for workers in (1, TOGETHER):
                settings: dict[str, Any] = (
                    {"execution_mode": "sequential"}
                    if workers == 1
                    else {"execution_mode": "concurrent", "max_workers": workers}
                )
                flow = Flow(label, max_history_size=None, **settings)
                flow.chain(
                    flow.add_routine(numbers), flow.add_routine(_ignoring(handler), "judged"), flow.add_routine(count)
                )
                with flow:
                    many = max(20, int(ATTEMPTS * scale)) * (200 if label == "sub-microsecond" else 1)
                    job = flow.record("numbers", {"n": many}).raise_for_status()
                found = verdicts_of(job.trace)["judged"]
                yield f"{label}, {workers} at once", kind, str(found)


def figures(found: list[tuple[str, Kind, str]]) -> list[Figure]:
    """How many were called what they are not, and how many nothing at all."""
    unsure = sum(said.startswith(Kind.NOT_SURE.value) for _, _, said in found)
    right = sum(said.startswith(kind.value) for _, kind, said in found)
    wrong, of = len(found) - right - unsure, f"of {len(found)}, {right} right"
    return [
        Figure("verdicts: wrong", 0.0, "handlers", wrong, wrong, of),
        Figure("verdicts: not sure", UNSURE, "handlers", unsure, unsure, of),
    ]


def _labelled(work: Work, far: Server, folder: Path, asked: Callable[[], object]) -> Handlers:
    document = json.dumps([{"name": str(n), "values": list(range(20))} for n in range(200)])
    letters, pattern = "ab" * 4000 + "c", re.compile(r"(a|b)*c")
    numbers = np.random.default_rng(1).random(300_000)
    data, command = work.bytes_of(0.004), [sys.executable, "-S", "-c", "import time; time.sleep(0.02)"]

    def half_half() -> None:
        work.python(0.002)
        time.sleep(0.002)

    return {
        "Python": (Kind.PYTHON, lambda: work.python(0.004)),
        "json": (Kind.PYTHON, lambda: [json.loads(document) for _ in range(10)]),
        "regex": (Kind.PYTHON, lambda: [pattern.match(letters) for _ in range(12)]),
        "NumPy": (Kind.NATIVE, lambda: np.sort(numbers)),
        "SHA-256": (Kind.NATIVE, lambda: hashlib.sha256(data).digest()),
        "socket": (Kind.NET, lambda: far.ask(0.004)),
        "file": (Kind.FILE, lambda: _kept(folder)),
        "sleep": (Kind.SLEEP, lambda: time.sleep(0.004)),
        "lock": (Kind.LOCK, asked),
        "subprocess": (Kind.CHILD, lambda: subprocess.run(command, check=True)),
        "half and half": (Kind.MIXED, half_half),
        "sub-microsecond": (Kind.PYTHON, lambda: None),
    }


def _ignoring(handler: Callable[[], object]) -> Callable[[int], int]:
    def ignoring(x: int) -> int:
        handler()
        return x

    return ignoring


def _kept(folder: Path) -> None:
    """Writes a file that outlives a loss of power."""
    with (folder / str(threading.get_ident())).open("wb") as file:
        for _ in range(4):
            file.write(bytes(262_144))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _answering() -> Iterator[Callable[[], None]]:
    """Another thread that takes its time to answer whoever asks."""
    questions: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()

    def answer() -> None:
        while (question := questions.get()) is not None:
            time.sleep(0.004)
            question.set()

    def ask() -> None:
        question = threading.Event()
        questions.put(question)
        question.wait()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield ask
    finally:
        questions.put(None)
        thread.join()
