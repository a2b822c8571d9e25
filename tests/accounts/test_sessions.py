"""What sessions on the database raise."""

from typing import Any

import pytest
from sqlalchemy import text

from elihu import DatabaseTimeout, DatabaseUnavailable, DataRefused
from elihu.accounts.models import User
from elihu.orm.sessions import Sessions, now


async def store_twice(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        moment = await now(session)
        values: dict[str, Any] = {"stored_role": "view", "created_at": moment, "updated_at": moment}
        session.add_all(User(name=name, name_key="ann", **values) for name in ("ann", "Ann"))


async def read_nothing(sessions: Sessions) -> None:
    async with sessions.read() as session:
        await session.execute(text("SELECT 1 FROM nowhere"))


async def read_for_long(sessions: Sessions) -> None:
    async with sessions.begin(deadline=0.001) as session:
        for _ in range(1_000):
            await now(session)


async def test_errors_name_the_engine(sessions: Sessions, database_url: str) -> None:
    engine = "SQLite" if database_url.startswith("sqlite") else "PostgreSQL"
    with pytest.raises(DataRefused, match=f"^{engine}: .*account_user"):
        await store_twice(sessions)
    with pytest.raises(DatabaseUnavailable, match=f"^{engine}: .*nowhere"):
        await read_nothing(sessions)
    with pytest.raises(DatabaseTimeout, match=f"^{engine}: no answer within 0.001 s$"):
        await read_for_long(sessions)
