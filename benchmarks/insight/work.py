"""Work whose costs are known, and a server that answers late; all of it can be sent to other processes."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    def __reduce__(self) -> tuple[type[Server], tuple[int]]:
        return Server, (self._port,)

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


def uneven(x: int, least: float, most: float) -> float:
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
