"""Serves the application on uvicorn, in a process of its own beside the node."""

import asyncio
import gc
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from elihu import ConfigError, DatabaseError, Elihu
from elihu.accounts import audit, users
from elihu.config import WebConfig
from elihu.orm.sessions import Sessions
from elihu.web.app import create_app
from elihu.web.context import Context
from elihu.web.guard import is_loopback

GRACE: Final = 5.0
"""Seconds that open requests have to end."""
CONNECTIONS: Final = 1_000
"""Connections at once; further ones are answered with 503."""
KEEP_ALIVE: Final = 15
LARGEST_HEAD: Final = 65_536
TIDY_EVERY: Final = 3_600.0
BATCH: Final = 1_000
_BACKLOG: Final = 512

logger = logging.getLogger("elihu")

_NAMES: Final = frozenset({"localhost"})


class Server:
    """The server of one app. ``address`` is where it listens."""

    def __init__(self, app: Elihu) -> None:
        self._app = app
        self._settings = app.config.web
        self._socket: socket.socket | None = None
        self.address = ""

    @property
    def is_local(self) -> bool:
        """Whether it listens for this machine only, and at no socket that others use."""
        return self._settings.unix is None and is_local(self._settings)

    async def prepare(self) -> None:
        """Make the tables and open the socket. Raises ``ConfigError`` where others could
        reach it while there are no users.
        """
        await self._app.migrate("commands")
        await self._app.migrate("accounts")
        if not self.is_local and not await has_users(self._app):
            raise ConfigError(
                "web: expected users before the page listens for other machines, got none: add "
                f'one with "elihu users add NAME --role admin", or listen at 127.0.0.1 '
                f"({self._where()})"
            )
        self._socket = bind(self._settings)
        self.address = self._url(self._socket)

    async def serve(self, stopping: asyncio.Event) -> None:
        """Answer requests until ``stopping`` is set; then open requests have 5 seconds to
        end, and streams end at once.
        """
        assert self._socket is not None
        web = create_app(self._app, open_on_loopback=self.is_local)
        context: Context = web.state.elihu
        keep_what_is_loaded()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        server = _Uvicorn(
            uvicorn.Config(
                web,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                root_path=self._settings.root_path,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(GRACE),
                limit_concurrency=CONNECTIONS,
                h11_max_incomplete_event_size=LARGEST_HEAD,
            )
        )
        serving = asyncio.create_task(server.serve([self._socket]), name="elihu-web")
        waiting = asyncio.create_task(stopping.wait())
        tidying = asyncio.create_task(_tidy(context), name="elihu-web-tidy")
        try:
            await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            context.stopping.set()
            server.should_exit = True
            waiting.cancel()
            tidying.cancel()
            await asyncio.wait([serving], timeout=GRACE + 2)
            self._remove_socket()
        if serving.done() and not serving.cancelled() and (error := serving.exception()):
            raise error

    def _remove_socket(self) -> None:
        if self._settings.unix is not None:
            Path(self._settings.unix).unlink(missing_ok=True)

    def _where(self) -> str:
        return self._settings.unix or f"{self._settings.host}:{self._settings.port}"

    def _url(self, bound: socket.socket) -> str:
        if self._settings.unix is not None:
            return f"unix:{self._settings.unix}"
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}{self._settings.root_path}/"


async def _tidy(context: Context) -> None:
    """Remove old audit rows, now and every hour."""
    while True:
        try:
            removed = BATCH
            while removed == BATCH:
                async with context.sessions.begin() as session:
                    removed = await audit.prune(session, BATCH)
        except DatabaseError as error:
            logger.warning("old audit rows could not be removed: %s", error)
        await asyncio.sleep(TIDY_EVERY)


class _Uvicorn(uvicorn.Server):
    """A server whose process handles signals itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def keep_what_is_loaded() -> None:
    """Take what this process has loaded so far out of the collections of garbage: one that
    reads all of it keeps every request waiting for 0.1 s.
    """
    gc.collect()
    gc.freeze()


def is_local(settings: WebConfig) -> bool:
    """Whether the address is one of this machine alone."""
    return settings.host in _NAMES or is_loopback(settings.host)


async def has_users(app: Elihu) -> bool:
    """Whether there is a user."""
    sessions = Sessions(app)
    try:
        async with sessions.read() as session:
            return await users.any_exist(session)
    finally:
        await sessions.aclose()


def bind(settings: WebConfig) -> socket.socket:
    """A listening socket. One in the file system is for its owner alone. Raises
    ``ConfigError``.
    """
    try:
        if settings.unix is not None:
            return _bind_unix(settings.unix)
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sends the parts of an answer at once only on a socket that names its protocol
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        where = settings.unix or f"{settings.host}:{settings.port}"
        raise ConfigError(f"web: expected a free address, got {where}: {error}") from error
    return bound


def _bind_unix(path: str) -> socket.socket:
    known = Path(path)
    if known.exists() and stat.S_ISSOCK(known.stat().st_mode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except OSError:
                known.unlink()  # what a server that died has left
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(path)
    finally:
        os.umask(before)
    bound.listen(_BACKLOG)
    return bound
