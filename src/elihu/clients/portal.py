"""An event loop on a thread of its own, for synchronous code."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from elihu.errors import DatabaseUnavailable, WrongLoop

T = TypeVar("T")


class Portal:
    """Runs coroutines for threads without a loop. Its thread is a daemon: the program
    can end while it runs. Raises ``WrongLoop`` where threads are green threads.
    """

    def __init__(self) -> None:
        _refuse_patched_threads()
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._callers = 0
        self._closed = False
        self._over = asyncio.Event()
        threading.Thread(target=self._serve, name="elihu-portal", daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its value. An interrupt of the caller
        cancels it.

        Raises what it raises, and ``DatabaseUnavailable`` if another thread has closed
        the portal.
        """
        with self._lock:
            if self._closed:
                coroutine.close()
                raise DatabaseUnavailable("another thread is closing the app")
            self._callers += 1
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._lock:
                self._callers -= 1
                self._end_if_idle()

    def close(self) -> None:
        """Refuse new callers. The thread ends after the last caller's coroutine.
        Callable from any thread, once.
        """
        with self._lock:
            self._closed = True
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._closed and not self._callers:
            self._loop.call_soon_threadsafe(self._over.set)

    def _serve(self) -> None:
        """Run the loop until ``close``. A ``SystemExit`` of a coroutine stops the loop
        and goes to the caller, so the loop is started again.
        """
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            over = runner.get_loop().create_task(self._over.wait())
            while not over.done():
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_until_complete(over)


def _refuse_patched_threads() -> None:
    """Raise ``WrongLoop`` where gevent or eventlet has replaced threads: the loop would
    run in the caller's thread and block it.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    for library, patched in (
        ("gevent", gevent is not None and gevent.is_module_patched("threading")),
        ("eventlet", eventlet is not None and eventlet.is_monkey_patched("thread")),
    ):
        if patched:
            raise WrongLoop(
                f"synchronous calls need real threads, and {library} has patched threading: use a "
                "worker with real threads (gunicorn -k gthread), or enqueue with conn="
            )
