"""Synchronous code that closes sessions of either kind."""

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from elihu.triggers.records import Calls, in_loop

CALL = Calls(asynchronous=True)


class Own(AsyncSession):
    """A session with a close of its own."""

    closed = 0

    async def close(self) -> None:
        self.closed += 1
        await super().close()


def opened(session: AsyncSession) -> AsyncSession:
    session.sync_session.connection()
    return session


async def closed(engine: AsyncEngine, session: AsyncSession) -> int:
    """Open, close, and return how many connections are still in use."""
    await in_loop(opened, session)
    await in_loop(CALL.close, session)
    return int(engine.pool.checkedout())  # type: ignore[attr-defined]


async def test_a_session_is_closed_and_a_close_of_its_own_is_called() -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=AsyncAdaptedQueuePool)
    own = Own(engine)
    try:
        assert await closed(engine, AsyncSession(engine)) == 0
        assert await closed(engine, own) == 0
        assert own.closed == 1
    finally:
        await engine.dispose()
