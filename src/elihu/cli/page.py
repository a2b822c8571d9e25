"""The page beside a node of ``elihu up``: a process of its own, restarted when it ends."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, Self

from elihu.cli.group import Failure
from elihu.cli.options import SharedOptions
from elihu.cli.status import print_status
from elihu.processes.parent_death import die_with_parent

logger = logging.getLogger("elihu")

READY: Final = b"r"
START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 10.0
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
_LIBRARIES: Final = ("fastapi", "uvicorn", "sqlalchemy", "cryptography", "aiosqlite")


class Page:
    """Started with ``start``. ``needed`` is whether a page that cannot start ends the
    command; otherwise it says so and the node runs without.
    """

    def __init__(self, options: SharedOptions, flags: dict[str, Any], *, wanted: bool) -> None:
        self._command = _command(options, flags)
        self._wanted = wanted
        self._needed = any(
            flags[name] is not None for name in ("host", "port", "unix", "root_path")
        )
        self._process: asyncio.subprocess.Process | None = None
        self._link: socket.socket | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the process. A page that is needed listens then. Raises ``Failure``."""
        if not self._wanted:
            return
        missing = [name for name in _LIBRARIES if find_spec(name) is None]
        if missing:
            self._refuse(f"not served: {missing[0]} is missing, install elihu[web]")
            return
        if self._needed and not await self._launch():
            self._refuse("not served: it could not start")
        self._watching = asyncio.create_task(self._watch(), name="elihu-page")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._end()

    def _refuse(self, note: str) -> None:
        if self._needed:
            raise Failure(f"the page: {note}")
        print_status("page", note)

    async def _launch(self) -> bool:
        """Whether the process listens now."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "--with-parent",
                f"{os.getpid()}:{theirs.fileno()}",
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._link = ours
        received = b""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(START_TIMEOUT):
                received = await asyncio.get_running_loop().sock_recv(ours, 1)
        if received == READY:
            return True
        await self._end()
        return False

    async def _watch(self) -> None:
        delay = FIRST_DELAY
        if self._process is None and not await self._launch():
            self._refuse("not served: it could not start")
            return
        while not self._stopping and self._process is not None:
            status = await self._process.wait()
            logger.warning("the page ended with status %s and is started again", status)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)
            while not await self._launch():
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._link is not None:
            self._link.close()
            self._link = None


class ParentLink:
    """The page's end of the link to its node."""

    def __init__(self, text: str) -> None:
        parent, _, descriptor = text.partition(":")
        self._socket = socket.socket(fileno=int(descriptor))
        os.set_inheritable(self._socket.fileno(), False)
        die_with_parent(int(parent), self._socket.fileno())

    def send_ready(self) -> None:
        """The page listens."""
        with suppress(OSError):
            self._socket.send(READY)


def _command(options: SharedOptions, flags: dict[str, Any]) -> Sequence[str]:
    """The command line of the page, with the options of ``elihu up``."""
    given = {"app": options.app, "database": options.database, "schema": options.schema, **flags}
    named = (
        f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None
    )
    return [sys.executable, "-m", "elihu", "web", *named]
