"""Systems on paper: known service times, as many workers as it takes, and no second passes."""

from __future__ import annotations

import math
from heapq import heappop, heappush, heapreplace

from routilux.execution_mode import ExecutionMode
from routilux.loadtest.capacity import Layout
from routilux.loadtest.step import RoutineLoad, Served, Usage
from routilux.loadtest.trial import System

THREADS = ExecutionMode.CONCURRENT


def usage(elapsed, *, cpu=0.0, foreign=0.0, **loads):
    """What was used: of each routine, executions, seconds of work and seconds waited."""
    return Usage(elapsed, cpu, {name: RoutineLoad(*load) for name, load in loads.items()}, foreign)


def served(due, ended, seconds, *, late=0.0, failed=0, used=None):
    """The jobs of a step, all of them started so many seconds late."""
    handed = [moment + late for moment in due]
    return Served(seconds, due, handed, ended, failed, used or usage(seconds), "ValueError: no" if failed else None)


class Pool(System):
    """So many workers, each of which takes the same time for any job."""

    def __init__(self, workers=4, service=0.01, *, leak=0.0, late=0.0, foreign=0.0, broken=False, stalls=()):
        self.layout = Layout(THREADS, {"serve": THREADS}, {THREADS: workers}, cores=2)
        self.workers, self.service = workers, service
        self.leak, self.late, self.foreign, self.broken = leak, late, foreign, broken
        self.stalls = stalls
        self.jobs = 0
        self.asked = []

    def offer(self, due, seconds):
        self.asked.append((len(due), seconds))
        free, ended, waited = [0.0] * self.workers, [], 0.0
        for moment in due:
            begun = self._begun(moment, free[0])
            waited += begun - moment
            heapreplace(free, begun + self.service)
            ended.append(begun + self.service)
        return self._served(list(due), ended, seconds, waited)

    def serve(self, users, think, seconds, jobs):
        free, starts, due, ended = [0.0] * self.workers, [0.0] * users, [], []
        while starts[0] < seconds or len(due) < jobs:
            moment = heappop(starts)
            begun = self._begun(moment, free[0])
            heapreplace(free, begun + self.service)
            due.append(moment)
            ended.append(begun + self.service)
            heappush(starts, begun + self.service + think)
        return self._served(due, ended, max(seconds, due[-1]), 0.0)

    def footprint(self):
        return {"rss": 1e8 + self.leak * self.jobs, "threads": 5.0}

    def _begun(self, due, free):
        """When a job begins: not before a worker is free, and not while all of them stand still."""
        begun = max(due, free)
        return next((end for start, end in self.stalls if start <= begun < end), begun)

    def _served(self, due, ended, seconds, waited):
        self.jobs += len(due)
        elapsed = max([seconds, *ended])
        used = usage(elapsed, foreign=self.foreign, serve=(len(due), len(due) * self.service, waited))
        return served(due, ended, seconds, late=self.late, failed=len(due) if self.broken else 0, used=used)


NEVER = math.inf
