"""A task's own effect on its database, and how many there are."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from elihu import (
    Context,
)


async def effects(made: AsyncEngine) -> int:
    async with made.connect() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM effect")).scalar_one())


async def work(session: Any, ctx: Context) -> None:
    await (await session.connection()).exec_driver_sql(f"INSERT INTO effect VALUES ({ctx.job.id})")
