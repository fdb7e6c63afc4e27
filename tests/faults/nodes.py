"""Processes that came of this one, among them the workers of clusters, and how a job loses those."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess
from random import Random

import psutil

from tests.faults.auditor import lines_of
from tests.faults.program import Case
from tests.faults.runner import kill


def offspring() -> list[psutil.Process]:
    """The processes that came of this one, but for the one that `multiprocessing` keeps for itself."""
    return [one for one in psutil.Process().children(recursive=True) if not says(one, "resource_tracker")]


def says(process: psutil.Process, what: str) -> bool:
    """Whether that is in a command line."""
    try:
        return any(what in part for part in process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that nobody has waited for has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers_of(case: Case) -> list[int]:
    """The workers that have run something of a case: Dask replaces none that dies before it is up."""
    pids = {line[-1] for line in lines_of(case.effects)}
    return [one.pid for one in offspring() if one.pid in pids and runs(one)]


def cluster_of(process: BaseProcess) -> list[int]:
    """The cluster that a process has started for itself, which leads a group; also one that is not up yet."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children()
        return [one.pid for one in children if says(one, "dask_local") and runs(one)]
    return []


def lose(what: str, case: Case, process: BaseProcess, chance: Random) -> bool:
    """Kills "the program" of a job that runs, "a worker", "all workers", or "the cluster", once there are any.

    Says whether the job was not over before.
    """
    victims: list[int] = []
    while not victims:
        process.join(0.005)
        if process.exitcode is not None:
            return False
        if what == "the program":
            kill(process, group=chance.random() < 0.7)
            process.join()
            return True
        victims = cluster_of(process) if what == "the cluster" else workers_of(case)
    for pid in [chance.choice(victims)] if what == "a worker" else victims:
        with suppress(ProcessLookupError):
            (os.killpg if what == "the cluster" else os.kill)(pid, signal.SIGKILL)
    return True
