"""Handlers that take their worker along; a worker has little to load for them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from routilux import Context, routine


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def crash():
    ctypes.string_at(0)


def starve():
    """There is no memory left, but for what it takes to say so; its worker lives on."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4096, limits[1]))
    try:
        bytearray(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


DEATHS = {"kill": kill_itself, "exit": lambda: os._exit(3), "segfault": crash, "memory": starve}


def dying(item: dict, ctx: Context):
    """The unlucky one takes its worker along, as often as it is told to."""
    if item["number"] == item["unlucky"] and ctx.attempt <= item["deaths"]:
        DEATHS[item["how"]]()
    return item["number"]


@routine
def items(count: int, unlucky: int, deaths: int, how: str):
    for number in range(count):
        yield {"number": number, "unlucky": unlucky, "deaths": deaths, "how": how}
