"""What one app has open in this process: a client for each event loop, and the loop of
synchronous code. Handles forks and the end of the program.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

from elihu.clients.client import Client
from elihu.clients.portal import Portal
from elihu.config import Config
from elihu.errors import WrongLoop
from elihu.event_loop import refuse_in_loop, running_loop
from elihu.runtime.announcer import Hub
from elihu.runtime.attempts.processes.import_guard import check_not_importing
from elihu.telemetry.bus import Bus

T = TypeVar("T")

logger = logging.getLogger("elihu")

EXIT_TIMEOUT: Final = 2.0
"""Seconds in which announcements are sent and connections closed when a program ends
without closing its app.
"""

_inherited: list[object] = []
"""The connections that a forked child has from its parent. The child may neither use
nor close them, so this reference keeps them from being collected.
"""


class Clients:
    """The clients of one app, one for each event loop. After a fork the child begins
    with none.
    """

    def __init__(self, config: Callable[[], Config], bus: Bus) -> None:
        self._config = config
        self._bus = bus
        self._open = _Open()
        self.closed = False
        """Whether ``aclose`` was called and nothing was used since."""

    @property
    def hub(self) -> Hub:
        """Carries announcements between the nodes and the callers of this process."""
        return self._here().hub

    def client(self) -> Client:
        """The client of the running event loop."""
        here = self._here()
        loop = asyncio.get_running_loop()
        client = here.clients.get(loop)
        if client is None:
            client = here.add(loop, Client(self._config(), self._bus, here.hub))
        return client

    def portal(self) -> Portal:
        """The loop of synchronous code, started at the first call."""
        here = self._here()
        with here.lock:
            if here.portal is None:
                here.portal = Portal()
                atexit.register(self._at_exit)
            return here.portal

    def run(self, coroutine: Coroutine[Any, Any, T], *, called: str, instead: str) -> T:
        """Run a coroutine to its end in the loop of synchronous code. Inside a running
        event loop it raises ``WrongLoop``, which names ``called`` and says what to
        write ``instead``.
        """
        try:
            refuse_in_loop(called, instead)
            portal = self.portal()
        except WrongLoop:
            coroutine.close()
            raise
        return portal.run(coroutine)

    async def aclose(self) -> None:
        """Close the clients of all loops, and the loop of synchronous code. Later calls
        connect again.
        """
        here = self._here()
        clients = here.take_clients()
        self.closed = True
        running = asyncio.get_running_loop()
        for loop, client in clients.items():
            if loop is running:
                await client.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))
            else:
                client.abandon()
        if portal := here.take_portal():
            atexit.unregister(self._at_exit)
            portal.close()

    def drop(self) -> None:
        """``aclose`` for code outside of its loops, as the end of a test. What belongs to a
        loop that has ended, or to the one that runs this call, is abandoned.
        """
        here = self._here()
        clients, portal = here.take_clients(), here.take_portal()
        self.closed = True
        for loop, client in clients.items():
            if loop.is_closed() or loop is running_loop():
                client.abandon()
            elif loop.is_running():
                _close_in(loop, client)
            else:
                loop.run_until_complete(client.close())
        if portal is not None:
            atexit.unregister(self._at_exit)
            portal.close()

    def _here(self) -> "_Open":
        check_not_importing()
        if self._open.pid != os.getpid():
            _inherited.append(self._open)
            self._open = _Open()
        self.closed = False
        return self._open

    def _at_exit(self) -> None:
        if self._open.pid == os.getpid() and self._open.portal is not None:
            self._open.portal.run(self._close_in_time())

    async def _close_in_time(self) -> None:
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self.aclose()
        except Exception as error:
            logger.warning("the app did not close within %g s: %s", EXIT_TIMEOUT, error)


def _close_in(loop: asyncio.AbstractEventLoop, client: Client) -> None:
    """Close a client in the loop of another thread, or abandon it where that loop ends
    meanwhile: the portal of another app may do so.
    """
    closing = client.close()
    try:
        asyncio.run_coroutine_threadsafe(closing, loop).result(EXIT_TIMEOUT)
    except (CancelledError, TimeoutError):
        client.abandon()
    except RuntimeError:  # the loop is closed
        closing.close()
        client.abandon()


class _Open:
    """What one process has open."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.hub = Hub()
        self.clients: dict[asyncio.AbstractEventLoop, Client] = {}
        self.closers: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        self.portal: Portal | None = None

    def add(self, loop: asyncio.AbstractEventLoop, client: Client) -> Client:
        """Keep the client of this loop, and abandon those of loops that have ended."""
        with self.lock:
            for ended in [known for known in self.clients if known.is_closed()]:
                self.clients.pop(ended).abandon()
                self.closers.pop(ended, None)
            self.clients[loop] = client
            self.closers[loop] = _start(_close_with_loop(client))
        return client

    def take_clients(self) -> dict[asyncio.AbstractEventLoop, Client]:
        """The clients, which the caller must close."""
        with self.lock:
            clients, self.clients = self.clients, {}
        return clients

    def take_portal(self) -> Portal | None:
        """The loop of synchronous code, which the caller must close."""
        with self.lock:
            portal, self.portal = self.portal, None
        return portal


async def _close_with_loop(client: Client) -> AsyncGenerator[None]:
    """Close the client when its loop ends, as that of ``asyncio.run`` does: a loop closes
    its asynchronous generators while it still runs.
    """
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            await client.close()


def _start(generator: AsyncGenerator[None]) -> AsyncGenerator[None]:
    """The generator, at its first ``yield``: only then does its loop know it."""
    with contextlib.suppress(StopIteration):
        generator.asend(None).send(None)
    return generator
