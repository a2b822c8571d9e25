"""Threads for tasks that are plain functions."""

import asyncio
import contextvars
import itertools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from elihu.runtime.attempts.threads import Threads

pytestmark = pytest.mark.sqlite_first

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")

NEVER_ENDS = """
import asyncio, threading
from elihu.runtime.attempts.threads import Threads

async def main():
    threads = Threads()
    began = threading.Event()

    def call():
        began.set()
        threading.Event().wait()

    task = asyncio.create_task(threads.run(call))
    while not began.is_set():
        await asyncio.sleep(0.001)
    threads.close()

asyncio.run(main())
"""


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    threads = Threads()
    yield threads
    threads.close()


async def test_returns_what_the_call_returns_from_another_thread(threads: Threads):
    assert await threads.run(lambda: threading.current_thread() is threading.main_thread()) is False


async def test_context_variables_are_copied(threads: Threads):
    COLOUR.set("red")

    def paint() -> str:
        before = COLOUR.get()
        COLOUR.set("blue")
        return before

    assert await threads.run(paint) == "red"
    assert COLOUR.get() == "red"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_what_the_call_raises_is_raised(threads: Threads, error: BaseException):
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await threads.run(fail)
    assert caught.value is error
    assert await threads.run(lambda: 1) == 1


async def test_stop_iteration_becomes_an_error_that_a_future_can_hold(threads: Threads):
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await threads.run(lambda: next(iter(())))
    assert isinstance(caught.value.__cause__, StopIteration)


async def test_threads_are_reused_and_no_more_than_calls_at_once(threads: Threads):
    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(20)}
    assert len(names) == 1
    barrier = threading.Barrier(3, timeout=10)

    def meet() -> str:
        barrier.wait()
        return threading.current_thread().name

    together = await asyncio.gather(*(threads.run(meet) for _ in range(3)))
    assert len(set(together)) == 3
    assert names <= set(together)


async def test_a_cancelled_caller_leaves_the_call_to_end_and_the_thread_to_serve_again(
    threads: Threads,
):
    gate, began = threading.Event(), threading.Event()

    def wait() -> str:
        began.set()
        gate.wait()
        return threading.current_thread().name

    task = asyncio.create_task(threads.run(wait))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    second = await threads.run(lambda: threading.current_thread().name)
    gate.set()
    assert second == "elihu-task-2"


async def test_a_thread_that_cannot_be_started_fails_that_call_alone(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(lambda: 1)
    async with asyncio.timeout(20):
        assert await threads.run(lambda: 2) == 2


async def test_close_ends_idle_threads():
    threads = Threads()
    thread = await threads.run(threading.current_thread)
    assert thread.daemon
    threads.close()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


def test_a_call_that_never_ends_does_not_keep_the_process():
    done = subprocess.run(
        [sys.executable, "-c", NEVER_ENDS], check=False, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_call_that_waits_does_not_hold_up_those_that_came_with_it(threads: Threads):
    gate, all_started = threading.Event(), threading.Barrier(22, timeout=10)
    await asyncio.gather(*(threads.run(all_started.wait) for _ in range(22)))
    waiting = [asyncio.create_task(threads.run(gate.wait)) for _ in range(2)]
    others = [asyncio.create_task(threads.run(lambda: 1)) for _ in range(20)]
    async with asyncio.timeout(20):
        assert await asyncio.gather(*others) == [1] * 20
    assert not any(task.done() for task in waiting)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True]


async def test_answers_that_come_while_the_loop_is_busy_are_delivered_together(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
):
    await threads.run(lambda: None)
    loop = asyncio.get_running_loop()
    deliver, deliveries = loop.call_soon_threadsafe, itertools.count()
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda call: (next(deliveries), deliver(call))
    )
    made = threading.Semaphore(0)
    tasks = [asyncio.create_task(threads.run(made.release)) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in tasks:  # the loop waits
        assert made.acquire(timeout=20)
    await asyncio.gather(*tasks)
    assert next(deliveries) <= 2


async def test_a_cancelled_caller_leaves_its_thread_to_be_waited_for(threads: Threads):
    gate, live = threading.Event(), set[asyncio.Future[object]]()
    first = asyncio.create_task(threads.run(gate.wait, live))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert len(live) == 1
    second = asyncio.create_task(threads.run(gate.is_set, live))
    await asyncio.sleep(0)
    gate.set()
    assert await second is True
    assert not live
