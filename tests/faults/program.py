"""What is killed: a process that runs the job of `flow`, and says what was acknowledged to it."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from routilux import Flow
from routilux.durable import shortening
from tests.faults.flow import append, build
from tests.faults.mistakes import MISTAKES
from tests.leftovers import children, ours

WORKERS = 3
DISTANCES = (10_000, 60, 20, 5)
"""After how many facts a job is shortened; the first is never reached by a trial."""
KEY = "once"


@dataclass(frozen=True)
class Case:
    """One job in a folder, and how it is run."""

    folder: Path
    mode: str
    count: int = 90
    durability: str = "process"
    steering: str = ""
    """What the program does to its job while it runs: "cancel", or "pause" again and again."""
    seed: str = ""
    planted: str = ""
    """The mistake that is planted in the engine."""
    distance: int = DISTANCES[0]
    """After how many facts they are replaced by a snapshot."""
    writes: bool = True
    """Whether handlers write to the store."""
    cluster: str | None = None
    """The address of a cluster that is there; where there is none, the job starts one."""
    database: str | None = None
    """The address of a database for the store; where there is none, it is a file."""

    @property
    def file(self) -> Path:
        return self.folder / "jobs.db"

    @property
    def store(self) -> str | Path:
        return self.database or self.file

    @property
    def workers(self) -> int:
        return 2 if self.mode == "distributed" else WORKERS

    @property
    def lock(self) -> Path:
        return self.folder / "jobs.db.lock"

    @property
    def effects(self) -> Path:
        return self.folder / "effects"

    @property
    def acknowledged(self) -> Path:
        return self.folder / "acknowledged"

    @property
    def stacks(self) -> Path:
        """What its processes said, and where they were if they crashed."""
        return self.folder / "stacks"

    @property
    def params(self) -> dict[str, object]:
        return {"count": self.count, "effects": str(self.effects), "writes": self.writes}

    @property
    def expected(self) -> list[int]:
        """What the job gives."""
        return [self.count, 2 * sum(range(self.count))]

    def acknowledge(self, what: str, **more: object) -> None:
        append(self.acknowledged, json.dumps({"what": what, "at": time.monotonic_ns(), "pid": os.getpid(), **more}))


def flow_of(case: Case) -> Flow:
    """The flow, with the store of a case."""
    settings = {"execution_mode": case.mode, "max_workers": case.workers, "cluster": case.cluster}
    return build(store=case.store, durability=case.durability, **settings)


def run(case: Case) -> None:
    """Runs the job of a case, or goes on with it, and says what was acknowledged."""
    with flow_of(case) as flow:
        job = flow.start("numbers", case.params, key=KEY)
        case.acknowledge("submitted", status=job.status)
        if case.steering and '"cancelled"' not in case.acknowledged.read_text():
            steer(case, job)
        elif str(job.status) == "paused":
            job.resume()
            case.acknowledge("resumed", status=job.status)
        job.wait()
        case.acknowledge("over", status=job.status, result=job.results.get("last"))
    left = leftovers()
    case.acknowledge("left", threads=left[0], children=left[1])


def steer(case: Case, job) -> None:
    """Does to a job what people do, at moments that the seed gives."""
    chance = random.Random(case.seed)
    if case.steering == "cancel":
        time.sleep(chance.uniform(0, 0.15))
        job.cancel("the trial says so")
        case.acknowledge("cancelled", status=job.status)
        time.sleep(0.05)
        return
    for _ in range(chance.randrange(1, 12)):
        time.sleep(chance.uniform(0, 0.02))
        job.pause()
        case.acknowledge("paused", status=job.status)
        time.sleep(chance.uniform(0, 0.02))
        case.acknowledge("resuming", status=job.status)
        job.resume()
        case.acknowledge("resumed", status=job.status)


def leftovers(patience: float = 3) -> tuple[list[str], int]:
    """The threads and the number of processes of ours that are left once they had time to end."""
    until = time.monotonic() + patience
    while (ours() or children()) and time.monotonic() < until:
        time.sleep(0.005)
    return ours(), len(children())


def in_process_of_its_own(case: Case, then=run) -> None:
    """What a process of `runner` does: it leads a group, so that whatever it starts can be killed with it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with case.stacks.open("a") as stacks:
        for stream in (1, 2):  # What is left of it must not hold the output of whoever runs the trials.
            os.dup2(stacks.fileno(), stream)
        faulthandler.enable(stacks)
        if case.planted:
            MISTAKES[case.planted][0]()
        shortening.DISTANCE = case.distance
        then(case)


if __name__ == "__main__":
    folder, mode, how, count = sys.argv[1:]
    case = Case(Path(folder), mode, count=int(count))
    flow = flow_of(case)
    job = flow.start("numbers", case.params, key=KEY)
    case.acknowledge("submitted", status=job.status)
    if how == "exit":
        os._exit(0)
    if how == "raise":
        raise RuntimeError("the program fails while its job runs")
    if how == "return in a block":
        with flow:
            flow.start("numbers", case.params, key="another")
