"""A program that a test kills: `program.py STORE EFFECTS MODE COUNT` runs, or goes on with, one job."""

import os
import sys
import time

from routilux import Context, Flow, Routine, collect, gather, routine


def note(effects, text):
    """Appends one line, whole, whatever happens next."""
    handle = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


@routine
def numbers(count: int, effects: str):
    """Each number with the file for effects; a generator, which after a crash passes over what it has given."""
    for number in range(count):
        yield {"number": number, "effects": effects}


@routine(retries=1, retry_delay=0.001)
def work(item: dict, ctx: Context):
    note(item["effects"], f"work {item['number']} {ctx.activation_id}")
    time.sleep(0.001)
    if item["number"] % 7 == 3 and ctx.attempt == 1:
        raise ConnectionError("try again")
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


def build(**settings):
    flow = Flow("numbers", **settings)
    for one in (numbers, work, spread, pair, last):
        flow.add_routine(one)
    flow.add_routine(Running(), "running")
    flow.chain("numbers", "work", "spread", "pair", "running", "last")
    return flow


def expected(count):
    return [count, 2 * sum(range(count))]


if __name__ == "__main__":
    store, effects, mode, count = sys.argv[1:]
    with build(store=store, durability="process", execution_mode=mode, max_workers=4) as flow:
        job = flow.execute("numbers", {"count": int(count), "effects": effects}, key="once")
        print(job.status, job.result)
