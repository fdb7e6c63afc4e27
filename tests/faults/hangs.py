"""Handlers that take too long, each in a way of its own; a worker has little to load for them."""

from __future__ import annotations

import asyncio
import ctypes
import time

from routilux import routine

LONG = 0.8
"""Seconds for which what cannot be stopped hangs: so short that its thread ends before its trial does."""


def sleep(item: dict):
    if item["number"] in item["unlucky"]:
        time.sleep(LONG)
    return item["number"]


def compute(item: dict):
    until = time.monotonic() + LONG
    while item["number"] in item["unlucky"] and time.monotonic() < until:
        pass
    return item["number"]


def native(item: dict):
    """It is in C and holds the GIL: nothing of Python can interrupt it."""
    if item["number"] in item["unlucky"]:
        ctypes.PyDLL(None).usleep(int(LONG * 1e6))
    return item["number"]


async def wait(item: dict):
    if item["number"] in item["unlucky"]:
        await asyncio.sleep(30)
    return item["number"]


async def refuse(item: dict):
    """It is cancelled, and goes on."""
    if item["number"] in item["unlucky"]:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
    return item["number"]


def hang(item: dict):
    """For processes, which are ended however they hang."""
    if item["number"] in item["unlucky"]:
        time.sleep(30)
    return item["number"]


BLOCKING = {"sleep": sleep, "compute": compute, "native": native}
HANGS = {"sequential": BLOCKING, "distributed": BLOCKING, "multiprocessing": {"hang": hang}}
"""By mode; in sequence and on a cluster nothing is stopped, and what takes too long is waited for, or left alone."""

ANY = BLOCKING | {"wait": wait, "refuse": refuse}


@routine
def items(count: int, unlucky: list):
    for number in range(count):
        yield {"number": number, "unlucky": unlucky}
