"""Two nodes act on the records of one trigger."""

from typing import Any

import pytest
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.orm import Session

from elihu import Elihu, JobState
from tests.lifecycle.nodes import Processes
from tests.triggers.store import driver_url

SETTINGS = {"APP": "invoices:app", "CALL_TIMEOUT": "15", "DEAD_AFTER": "32"}


async def act_with_two_nodes(
    app: Elihu, database_url: str, invoices: Any, processes: Processes, records: int
) -> None:
    """Every record is acted on exactly once, and both nodes do a part of the work."""
    engine = create_engine(driver_url(database_url, "sync"))
    invoices.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [{"fails": number % 10 == 0} for number in range(records)]
        connection.execute(insert(invoices.Invoice), rows)
    both = [await processes.node(**SETTINGS) for _ in range(2)]
    async with invoices.app:
        assert (await invoices.count.scan()).enqueued == records
        await invoices.engine.dispose()

        async def done() -> bool:
            return await app.jobs.count(state=[JobState.COMPLETED]) == records

        await processes.until_found(done, within=20 + records / 20)
    assert all(node.count("began count") > records / 50 for node in both)
    for node in both:
        assert "database is locked" not in "\n".join(node.errors)
        assert "cut off" not in "\n".join(node.errors)
    acts, errors = invoices.Invoice.acts, invoices.Invoice.errors
    with Session(engine) as session:
        found = session.execute(
            select(invoices.Invoice.fails, acts, errors, func.count()).group_by(
                invoices.Invoice.fails, acts, errors
            )
        ).all()
    engine.dispose()
    assert sorted(tuple(row) for row in found) == [
        (False, 1, 0, records - records // 10),
        (True, 0, 1, records // 10),
    ]


@pytest.mark.timeout(120)
async def test_two_nodes_act_on_each_record_once(
    app: Elihu, database_url: str, invoices: Any, processes: Processes
) -> None:
    """On SQLite the locked actions of both share the file's one write lock: neither node
    is starved, and none meets a locked database.
    """
    await act_with_two_nodes(app, database_url, invoices, processes, 200)


@pytest.mark.more
@pytest.mark.timeout(900)
async def test_two_nodes_act_on_ten_thousand_records_once(
    app: Elihu, database_url: str, invoices: Any, processes: Processes
) -> None:
    await act_with_two_nodes(app, database_url, invoices, processes, 10_000)
