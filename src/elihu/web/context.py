"""What every request needs: the app, sessions on its database, and how it is served."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, cast

from starlette.requests import HTTPConnection

from elihu import Elihu
from elihu.accounts import users
from elihu.accounts.roles import Actor
from elihu.commands.host import Host
from elihu.commands.scheduler import CommandScheduler
from elihu.orm.sessions import Sessions
from elihu.web.live import LivePages
from elihu.web.reads.ended import Ended
from elihu.web.streams import Streams

UserHook = Callable[[HTTPConnection], Awaitable[Actor | None]]
"""The host application's own user of a request; None where nobody is signed in."""

LOOK_AGAIN: Final = 1.0
"""Seconds for which it is believed that there are no users."""


@dataclass(slots=True)
class Context:
    """``open`` is true where a loopback server needs no sign-in while there are no users.
    ``user`` is the host application's hook. ``scheduler`` belongs to an app of its own on
    the same database, so that its tasks are not those of a node that runs ``app``.
    ``ended`` has the attempts that ended, ``live`` shares reads of pages among tabs.
    ``stopping`` ends the streams. ``menu`` is what the pages have counted last.
    """

    app: Elihu
    scheduler: CommandScheduler
    read_only: bool
    open: bool
    user: UserHook | None
    streams: Streams = field(init=False)
    ended: Ended = field(init=False)
    live: LivePages = field(init=False)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    menu: object = field(init=False)
    _have_users: bool = field(init=False)
    _looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    @property
    def host(self) -> Host:
        """What the rules of commands need."""
        return self.scheduler.host

    @property
    def sessions(self) -> Sessions:
        """Sessions on the database of the app."""
        return self.scheduler.sessions

    def ends_streams(self) -> bool:
        """Whether this application stops, or the server that runs it."""
        return self.stopping.is_set() or _uvicorn_stops()

    @property
    def engine(self) -> str:
        """The name of the database's kind."""
        is_sqlite = self.app.config.database_url.startswith("sqlite")
        return "SQLite" if is_sqlite else "PostgreSQL"

    def follow(self) -> None:
        """Begin anew if the app's configuration is another one, as that of a test: what
        is open and known belongs to the earlier database.
        """
        beside = self.scheduler.app
        if beside.config is not self.app.config:
            beside._use(self.app.config)
            self.streams.abandon()
            self._begin()

    def _begin(self) -> None:
        self.streams = Streams(self.app)
        self.ended = Ended(self.app)
        self.live = LivePages()
        self.menu = None
        self._have_users = False
        self._looked_at = float("-inf")

    async def aclose(self) -> None:
        """End the streams, and close what was opened beside the app."""
        self.stopping.set()
        await self.streams.aclose()
        await self.live.aclose()
        await self.ended.aclose()
        await self.scheduler.aclose()
        await self.scheduler.app.aclose()

    async def needs_no_sign_in(self) -> bool:
        """Whether there are no users, and the server is only for this machine."""
        if not self.open or self._have_users:
            return False
        if time.monotonic() > self._looked_at + LOOK_AGAIN:
            async with self.sessions.read() as session:
                self._have_users = await users.any_exist(session)
            self._looked_at = time.monotonic()
        return not self._have_users


def _uvicorn_stops() -> bool:
    """Whether the uvicorn server of this process has been told to stop. It waits for open
    streams before it ends the lifespan. Its signal handler is a method of the server.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


def context_of(connection: HTTPConnection) -> Context:
    """The context of a request's application."""
    context = cast(Context, connection.app.state.elihu)
    context.follow()
    return context
