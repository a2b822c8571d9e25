"""Nodes that die at each step of a trigger's job: the effect and on_error are there
exactly once.
"""

import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from elihu import Elihu, JobState
from tests.lifecycle.nodes import Processes
from tests.triggers.store import driver_url

RECORDS = 12
POINTS = {
    "after claim": 2,
    "trigger locked": 3,
    "trigger acted": 3,
    "trigger completed": 3,
    "trigger committed": 3,
    "before on_error": 2,
    "inside on_error": 2,
    "before acknowledge": 2,
}
"""Where a node dies, and at which time it gets there."""
ALWAYS = {"trigger completed", "inside on_error"}
"""The points of every run; the others run with --more, and all of them in the oracle."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=() if p in ALWAYS else pytest.mark.more) for p in POINTS]
)
async def test_a_node_that_dies_leaves_each_effect_once(
    app: Elihu,
    database_url: str,
    invoices: Any,
    processes: Processes,
    point: str,
    tmp_path: Path,
) -> None:
    engine = create_engine(driver_url(database_url, "sync"))
    invoices.Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(invoices.Invoice(fails=number % 3 == 0) for number in range(RECORDS))
    async with invoices.app:
        assert (await invoices.count.scan()).enqueued == RECORDS
        await invoices.engine.dispose()
        settings = {"APP": "invoices:app", "CALL_TIMEOUT": "8", "DEAD_AFTER": "17"}
        if not database_url.startswith("sqlite"):
            settings |= {"CALL_TIMEOUT": "1", "DEAD_AFTER": "2.5"}  # the wait for the rescue
        dying = await processes.run("start", **settings, TEST_FAILPOINT=f"{point}:{POINTS[point]}")
        assert await dying.end() == -signal.SIGKILL
        await processes.node(**settings)

        async def done() -> bool:
            return await app.jobs.count(state=[JobState.COMPLETED]) == RECORDS

        await processes.until_found(done, within=60)
    with Session(engine) as session:
        found = session.scalars(select(invoices.Invoice).order_by(invoices.Invoice.id)).all()
        assert [(each.acts, each.errors) for each in found] == [
            (0, 1) if each.fails else (1, 0) for each in found
        ]
    engine.dispose()
