"""A trigger of the experiments. Its effect, the row of its on_error and the end of its
job are one transaction each.
"""

import asyncio
import os
from typing import Any, Final

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from elihu import Context, Elihu
from elihu.errors import DatabaseError
from oracle.journal import Journal
from oracle.programs.plan import Plan
from oracle.programs.tasks import Planned, Work

IS_SQLITE: Final = os.environ.get("ELIHU_DATABASE_URL", "").startswith("sqlite")
_EFFECT: Final = text(
    f"INSERT INTO {'' if IS_SQLITE else 'elihu.'}oracle_effect (id, claim, key) "
    "VALUES (:id, :claim, :key)"
)


class Base(DeclarativeBase): ...


class Record(Base):
    """``fails`` records fail in the action, so that on_error has the effect."""

    __tablename__ = "oracle_record"
    __table_args__ = {} if IS_SQLITE else {"schema": "elihu"}

    key: Mapped[str] = mapped_column(primary_key=True)
    seconds: Mapped[float]
    fails: Mapped[bool]
    acts: Mapped[int] = mapped_column(default=0)


def declare_trigger(app: Elihu, journal: Journal | None = None) -> Any:
    """Declare the trigger ``oracle.trigger``; an enqueuer needs no journal."""
    scheme, rest = app.config.database_url.split(":", 1)
    driver = "sqlite+aiosqlite" if IS_SQLITE else "postgresql+asyncpg"
    connect = {"timeout": 20} if scheme == "sqlite" else {}
    engine = create_async_engine(f"{driver}:{rest}", connect_args=connect)

    async def have(session: AsyncSession, attempt: Work) -> None:
        await session.execute(
            _EFFECT, {"id": attempt.job_id, "claim": attempt.claim, "key": attempt.key}
        )
        attempt.end()

    def work(record: Record) -> Work:
        assert journal is not None
        return Work(journal, None, record.key)

    async def on_error(
        record: Record, error: Exception, *, session: AsyncSession, ctx: Context
    ) -> None:
        attempt = work(record)
        if ctx.on_error_due is not None:
            attempt.begin(fail=False)
        record.acts -= 1
        await have(session, attempt)

    @app.trigger(
        Record,
        name="oracle.trigger",
        where=Record.acts == 0,
        cron=None,
        queue="default",
        sessions=async_sessionmaker(engine, expire_on_commit=False),
        on_error=on_error,
        log_final_error=False,
        worker_opts={"max_orphans": 100},
    )
    async def act(record: Record, *, session: AsyncSession) -> None:
        attempt = work(record)
        attempt.begin(fail=False)
        if not IS_SQLITE:  # there it would hold the one write lock
            await asyncio.sleep(record.seconds)
        record.acts += 1
        await session.flush()
        if record.fails:
            raise Planned
        await have(session, attempt)

    return act


async def enqueue_for_records(app: Elihu, journal: Journal, plan: Plan) -> None:
    """Store records in groups, and the job of each through ``trigger.run``'s way."""
    trigger = declare_trigger(app)
    sessions = trigger.options.sessions
    rng = plan.rng()
    for keys in plan.groups():
        for key in keys:
            journal.write("intent", key=key, once=True)
        journal.sync()
        rows = [
            {
                "key": key,
                "seconds": rng.uniform(*plan.seconds),
                "fails": rng.random() < plan.failing,
                "acts": 0,
            }
            for key in keys
        ]
        async with sessions.begin() as session:
            await session.execute(insert(Record), rows)
        for key in keys:
            try:
                stored = await app.aenqueue(trigger.build_for([key]))
            except DatabaseError as error:
                journal.write("refused", keys=[key], error=str(error))
            else:
                journal.write("acknowledged", key=key, id=stored.id)
        journal.sync()
        await asyncio.sleep(plan.pause)
    journal.write("enqueued", jobs=plan.jobs)
