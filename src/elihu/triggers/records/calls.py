"""Synchronous code that can wait for coroutines: what a trigger does is written once,
for sessions of both kinds.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only, greenlet_spawn

from elihu.errors import InvalidTrigger

T = TypeVar("T")


async def in_loop(work: Callable[..., T], *args: Any) -> T:
    """Run synchronous code in this loop's thread; ``call`` waits there for coroutines."""
    result: T = await greenlet_spawn(work, *args)
    return result


class Calls:
    """Calls functions that may be asynchronous from synchronous code: from that which
    ``in_loop`` runs where ``asynchronous``, from any thread otherwise.
    """

    def __init__(self, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns. Raises ``InvalidTrigger`` for a coroutine where
        sessions are synchronous.
        """
        value = function(*args, **kwargs)
        if not inspect.isawaitable(value):
            return value
        if not self.asynchronous:
            if inspect.iscoroutine(value):
                value.close()
            raise InvalidTrigger(
                f"expected a plain function beside synchronous sessions, got {function!r}, which "
                "is asynchronous: give the trigger an async_sessionmaker"
            )
        return await_only(value)

    def close(self, session: Any) -> None:
        """Close a session of either kind. ``AsyncSession.close`` would enter a greenlet of
        its own for the same work.
        """
        own = type(session).close is AsyncSession.close
        self(session.sync_session.close if own else session.close)


def inner(session: Any) -> Session:
    """The synchronous session below an ``AsyncSession``, or the session itself."""
    found: Session = session.sync_session if isinstance(session, AsyncSession) else session
    return found
