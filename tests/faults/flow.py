"""The job that is killed: a flow of everything that a crash may harm. Its workers load this, and little else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from routilux import Context, Flow, Routine, Skip, collect, gather, routine

RETRIES = 2
CRASH_RETRIES = 4
"""The first crash is not counted: so a trial of five kills never gives anything up, however slow the machine is."""
DELAY = 0.004


def append(path: str | Path, text: str) -> None:
    """One line, whole, whatever happens next."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


def note(effects: str, ctx: Context, number: int) -> None:
    """What a handler does to the world: which attempt of what began, when, and in which process."""
    who = ctx.routine_id, number, ctx.activation_id, ctx.attempt
    append(effects, json.dumps([*who, time.monotonic_ns(), os.getpid()]))


@routine
def numbers(count: int, effects: str, writes: bool):
    """Each number with the file for effects; a generator, which after a crash passes over what it has given."""
    for number in range(count):
        yield {"number": number, "effects": effects, "writes": writes and number % 3 == 0}


@routine(retries=RETRIES, retry_delay=DELAY, crash_retries=CRASH_RETRIES)
def work(item: dict, ctx: Context):
    note(item["effects"], ctx, item["number"])
    if item.get("changed", 0) >= ctx.attempt:
        os._exit(7)  # What it is given is as a run of the same attempt, before a crash, had changed it.
    item["changed"] = ctx.attempt
    if item["writes"]:
        with ctx.transaction() as sql:
            sql.execute("CREATE TABLE IF NOT EXISTS done (number INTEGER, activation_id INTEGER, attempt INTEGER)")
            sql.execute("INSERT INTO done VALUES (?, ?, ?)", (item["number"], ctx.activation_id, ctx.attempt))
    time.sleep(0.001)
    if item["number"] % 7 == 3 and ctx.attempt == 1:
        raise ConnectionError("try again")
    return item["number"]


@routine(delivery="at_most_once", error_strategy=Skip())
def once(item: dict, ctx: Context):
    """Every fifth is worth doing, and takes long enough for kills to come; what is interrupted is skipped."""
    if item["number"] % 5 == 0:
        note(item["effects"], ctx, item["number"])
        time.sleep(0.005)
    return item["number"]


@routine
def spread(number: int):
    yield from (number, number)


@routine(fires=gather(of="spread"))
def pair(numbers: list[int]) -> int:
    return sum(numbers)


class Running(Routine):
    """Adds up what it is given; its sum is its state."""

    def __init__(self):
        super().__init__()
        self.define_slot("number", handler=self.add)
        self.define_event("output")

    def add(self, number: int):
        self.state["sum"] = self.state.get("sum", 0) + number
        self.emit("output", self.state["sum"])


@routine(fires=collect())
def last(sums: list[int]) -> list[int]:
    return [len(sums), max(sums)]


def build(**settings) -> Flow:
    """The flow: a source, retries, a fan-out that is gathered, state, a collection, and a branch that runs once."""
    flow = Flow("numbers", **settings)
    for one in (numbers, work, once, spread, pair, last):
        flow.add_routine(one)
    flow.add_routine(Running(), "running")
    flow.chain("numbers", "work", "spread", "pair", "running", "last")
    flow.connect("numbers", "once")
    return flow
