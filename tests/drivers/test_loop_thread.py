"""The event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading

from routilux.drivers.loop_thread import LoopThread


def test_a_loop_that_is_ended_twice_lets_its_tasks_see_to_their_end() -> None:
    began, cancelled, goes_on, ended = (threading.Event() for _ in range(4))

    async def task() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
            await asyncio.to_thread(goes_on.wait, 20)
            ended.set()

    thread = LoopThread("loop")
    under_way = asyncio.run_coroutine_threadsafe(task(), thread.loop)
    assert began.wait(20)
    thread.close(wait=False)
    assert cancelled.wait(20)
    thread.close(wait=False)
    goes_on.set()
    thread.close()
    assert ended.is_set()
    assert under_way.done()
    thread.close()


def test_a_loop_that_was_never_needed_has_nothing_to_end() -> None:
    LoopThread("loop").close()
