"""Handlers that take their worker along; a worker has little to load for them."""

from __future__ import annotations

import ctypes
import os
import signal

from routilux import Context, routine


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def crash():
    ctypes.string_at(0)


DEATHS = {"kill": kill_itself, "exit": lambda: os._exit(3), "segfault": crash}


def dying(item: dict, ctx: Context):
    """The unlucky one takes its worker along, as often as it is told to."""
    if item["number"] == item["unlucky"] and ctx.attempt <= item["deaths"]:
        DEATHS[item["how"]]()
    return item["number"]


@routine
def items(count: int, unlucky: int, deaths: int, how: str):
    for number in range(count):
        yield {"number": number, "unlucky": unlucky, "deaths": deaths, "how": how}
