"""`python -m tests.stores.interrupted STORE TIMES`: writes that are interrupted so often, at any moment.

In a process of its own: what measures coverage, or limits the time of tests, bears no interruption anywhere.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from routilux.stores.opening import open_store
from routilux.stores.port import Durability
from tests.stores.contract import kept, new_job, numbered


def interrupt_writes(store: str, times: int) -> None:
    """Runs the program, which must find each write whole or not made."""
    command = [sys.executable, "-m", "tests.stores.interrupted", store, str(times)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=50)


def main(path: str, times: int) -> None:
    """Writes numbers, each one after the last that is there."""
    chance = random.Random("interrupt")
    written = interrupted = 0
    with open_store(path, Durability.PROCESS) as store:
        store.submit(new_job())
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        while interrupted < times:
            made = False
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 3e-3))
                while True:
                    made = False
                    before = written
                    written += 1
                    store.write("job", numbered(1, before))
                    made = True
            except KeyboardInterrupt:
                interrupted += 1
                store.flush()
                found = len(kept(store)) - 1
                # It may have come before the call, in it, or after it.
                assert found in (written, before), (found, written, before)
                assert not made or found == written
                written = found
        assert kept(store)[1:] == numbered(written)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
