"""The tables, and the sessions on them, in the database of the jobs."""

import os
from datetime import UTC, datetime, timedelta

from sqlalchemy import event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class Base(DeclarativeBase): ...


class Subscription(Base):
    """What a customer of a shop pays for; ``shop`` is the tenant."""

    __tablename__ = "subscription"

    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[str] = mapped_column(index=True)
    email: Mapped[str]
    ends_at: Mapped[datetime]
    reminded: Mapped[bool] = mapped_column(default=False)
    receipt_sent: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str] = mapped_column(default="")


class Mail(Base):
    """A message that was sent, in place of a mail server."""

    __tablename__ = "mail"

    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[str]
    to: Mapped[str]
    text: Mapped[str]
    sent_by: Mapped[str]


def engine_for(database_url: str) -> AsyncEngine:
    """An engine on the database of the jobs."""
    scheme, rest = database_url.split(":", 1)
    engine = create_async_engine(f"{DRIVERS[scheme]}:{rest}")
    if scheme == "sqlite":
        event.listen(engine.sync_engine, "connect", _wait_for_locks)
    return engine


def _wait_for_locks(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.close()


def now() -> datetime:
    """The present time, without a zone, as both databases store it."""
    return datetime.now(UTC).replace(tzinfo=None)


def in_days(days: float) -> datetime:
    """A time so many days from now."""
    return now() + timedelta(days=days)


DATABASE_URL = os.environ.get("ELIHU_DATABASE_URL", "sqlite:///subscriptions.db")

engine = engine_for(DATABASE_URL)
sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(engine, expire_on_commit=False)
