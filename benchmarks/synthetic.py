"""Six flows whose costs are known, to try predictions on."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from routilux import Flow, collect, routine

ANSWER = """
import asyncio
async def answer(reader, writer):
    while request := await reader.read(8):
        await asyncio.sleep(int(request) / 1e6)
        writer.write(request)
    writer.close()
async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(serve())
"""
"""A server that answers after as many microseconds as it is told."""


class Server:
    """A process that answers late."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()

    def ask(self, seconds: float) -> None:
        """Waits for an answer that comes after so many seconds, on a connection of this thread's own."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = socket.create_connection(("127.0.0.1", self._port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"%8d" % int(seconds * 1e6))
        connection.recv(8)


@contextmanager
def server() -> Iterator[Server]:
    """Runs one."""
    process = subprocess.Popen([sys.executable, "-c", ANSWER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Work:
    """Work of a known length; how fast this machine is, is measured when it is made."""

    def __init__(self) -> None:
        self._turns_per_second = 50_000 / min(_cpu_time(lambda: _turn(50_000)) for _ in range(9))
        data = bytes(1_000_000)
        self._bytes_per_second = 1_000_000 / min(_cpu_time(lambda: hashlib.sha256(data).digest()) for _ in range(9))

    def python(self, seconds: float) -> None:
        """Computes in Python."""
        _turn(int(self._turns_per_second * seconds))

    def bytes_of(self, seconds: float) -> bytes:
        """So many bytes that to hash them takes so long."""
        return bytes(int(self._bytes_per_second * seconds))


@dataclass(frozen=True, slots=True)
class Subject:
    """A flow that can be had in any mode, and how it is started."""

    entry: str
    params: Mapping[str, Any]
    define: Callable[[Flow], object]

    def flow(self, name: str, **settings: Any) -> Flow:
        """The flow with these settings."""
        flow = Flow(name, max_history_size=None, **settings)
        self.define(flow)
        return flow


def subjects(work: Work, ask: Callable[[float], None]) -> dict[str, Subject]:
    """By name: the six."""
    return {
        "I/O fan-out": _fan(60, fetch=lambda x: ask(_uneven(x, 0.005, 0.015))),
        "CPU fan-out": _fan(24, crunch=lambda x: work.python(_uneven(x, 0.005, 0.012))),
        "mixed": _fan(
            40,
            load=lambda x: time.sleep(_uneven(x, 0.006, 0.014)),
            parse=lambda _: work.python(0.003),
        ),
        "chain": _chain(work),
        "native": _native(work.bytes_of(0.008)),
        "pipeline": _fan(
            60,
            read=lambda _: time.sleep(0.004),
            shape=lambda _: work.python(0.002),
            write=lambda _: _write(work),
        ),
    }


@routine
def numbers(n: int) -> Iterator[int]:
    """Yields n numbers one by one."""
    yield from range(n)


@routine(fires=collect())
def count(xs: list[Any]) -> int:
    """How many came."""
    return len(xs)


def _fan(items: int, **steps: Callable[[int], object]) -> Subject:
    """Sends numbers through steps one after another, and counts them."""

    def define(flow: Flow) -> None:
        names = [flow.add_routine(_passing(step), name) for name, step in steps.items()]
        flow.chain(flow.add_routine(numbers, "numbers"), *names, flow.add_routine(count, "count"))

    return Subject("numbers", {"n": items}, define)


def _passing(step: Callable[[int], object]) -> Callable[[int], int]:
    def handler(x: int) -> int:
        step(x)
        return x

    return handler


def _chain(work: Work) -> Subject:
    def step(x: int) -> int | None:
        work.python(0.001)
        time.sleep(0.003)
        return x - 1 if x > 1 else None

    def define(flow: Flow) -> None:
        flow.connect(flow.add_routine(step, "step"), "step")

    return Subject("step", {"x": 40}, define)


def _native(data: bytes) -> Subject:
    return _fan(24, digest=lambda _: hashlib.sha256(data).digest())


def _write(work: Work) -> None:
    work.python(0.0003)
    time.sleep(0.003)


def _uneven(x: int, least: float, most: float) -> float:
    """Durations that differ, and are the same each time."""
    return least + (most - least) * (x * 7919 % 101) / 100


def _turn(times: int) -> int:
    total = 0
    for number in range(times):
        total += number * number
    return total


def _cpu_time(function: Callable[[], object]) -> float:
    before = time.thread_time()
    function()
    return time.thread_time() - before
