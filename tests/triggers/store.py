"""Records in the database of the jobs, through sessions of either kind."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from tests.triggers.models import Base

DRIVERS = {
    ("sqlite", "async"): "sqlite+aiosqlite",
    ("sqlite", "sync"): "sqlite",
    ("postgresql", "async"): "postgresql+asyncpg",
    ("postgresql", "sync"): "postgresql+psycopg",
}


def driver_url(url: str, kind: str) -> str:
    """The URL as SQLAlchemy takes it, for sessions of this kind."""
    scheme, rest = url.split(":", 1)
    return f"{DRIVERS[scheme, kind]}:{rest}"


class Store:
    """``sessions`` is what an app takes; reads and writes go through sessions of the
    synchronous kind, whichever the app has.
    """

    def __init__(self, url: str, kind: str) -> None:
        self.kind = kind
        self._plain = create_engine(driver_url(url, "sync"))
        self._make = sessionmaker(self._plain, expire_on_commit=False)
        self._async = create_async_engine(driver_url(url, "async")) if kind == "async" else None
        self.sessions: Any = (
            self._make
            if self._async is None
            else async_sessionmaker(self._async, expire_on_commit=False)
        )
        Base.metadata.create_all(self._plain)

    def add(self, *records: Any) -> list[Any]:
        """Store records, and return them with their keys."""
        with self._make.begin() as session:
            session.add_all(records)
        return list(records)

    def change(self, work: Callable[[Session], Any]) -> Any:
        """Do something in a transaction."""
        with self._make.begin() as session:
            return work(session)

    def all(self, statement: Any) -> Sequence[Any]:
        """The records of a SELECT."""
        with self._make() as session:
            return session.scalars(statement).all()

    async def close(self) -> None:
        self._plain.dispose()
        if self._async is not None:
            await self._async.dispose()

    def action(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the record and the context, as an action of this kind."""
        from elihu import Context

        if self.kind == "sync":

            def act(record: Any, *, session: Any, ctx: Context) -> Any:
                return work(record, session, ctx)

            return act

        async def act_async(record: Any, *, session: Any, ctx: Context) -> Any:
            found = work(record, session, ctx)
            return await found if isinstance(found, Awaitable) else found

        return act_async
