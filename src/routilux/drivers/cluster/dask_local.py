"""A local Dask cluster in a program of its own.

So the scheduler does not share this process's time, its settings are nobody else's, the user's main script is not
imported by the workers, and the cluster ends when this process does, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import IO

import dask
from distributed import LocalCluster

from routilux.errors import ClusterError

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); "
    f"from {__name__} import main; main(int(sys.argv[1]))"
)

SETTINGS = {
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
}
"""Dask tries nothing again that died with a worker, as the machine counts attempts; it serves no pages; and it does not
give a worker up that is not back within seconds, as one that is killed again, or starts on a busy machine."""

END_SECONDS = 15.0

STARTS = 3
"""So often it is started if it is killed before it is up; one that is killed later is replaced as well."""


class LocalDask:
    """The program, seen from this side."""

    def __init__(self, workers: int) -> None:
        """Starts it, also again if it is killed meanwhile; raises `ClusterError` if it does not come up."""
        for _ in range(STARTS):
            self._program = _started(workers)
            self._send(json.dumps(sys.path) + "\n")
            self.address = self._stdout.readline().strip()
            """Where its scheduler is."""
            if self.address:
                return
            self.close()
            if self._program.returncode >= 0:
                break
        raise ClusterError(
            f"A local Dask cluster did not come up: its program ended with exit code {self._program.returncode}. "
            "What it had to say is on standard error."
        )

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._program.poll() is None

    def close(self) -> None:
        """Ends it, workers and all."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._program.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._stdout.close()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._program.kill()
        else:
            os.killpg(self._program.pid, signal.SIGKILL)
        self._program.wait()

    def _send(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(text)
            self._stdin.flush()

    @property
    def _stdin(self) -> IO[str]:
        assert self._program.stdin is not None
        return self._program.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._program.stdout is not None
        return self._program.stdout


def _started(workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BOOT, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which decides what to do
    )


def main(workers: int) -> None:
    """The program: a cluster until standard input ends. The address of its scheduler is all that it prints."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    dask.config.set(SETTINGS)
    with (
        tempfile.TemporaryDirectory(prefix=f"routilux-dask-{os.getppid()}-", ignore_cleanup_errors=True) as folder,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=folder,
            silence_logs=50,
        ) as cluster,
    ):
        with contextlib.suppress(BrokenPipeError):  # then standard input has ended as well
            told.write(f"{cluster.scheduler_address}\n")
            told.close()
        sys.stdin.read()
