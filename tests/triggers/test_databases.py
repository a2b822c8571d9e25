"""Where the records are: one engine for each model, and databases of their own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from elihu import Elihu, JobState
from elihu.engines.in_transaction.session import Session as InTransaction
from tests.support import QUICK
from tests.triggers.models import Base, Invoice
from tests.triggers.store import Store, driver_url
from tests.triggers.test_run import act, declared
from tests.triggers.test_together import jobs_of, run_stored

SETTINGS = {**QUICK, "call_timeout": 5.0, "dead_after": 11.0}


@pytest.fixture
def kind() -> str:
    return "sync"


@pytest.fixture
async def bound_by_model(database_url: str, store: Store) -> AsyncIterator[Elihu]:
    """An app whose sessions find their engine by the model."""
    engine = create_engine(driver_url(database_url, "sync"))
    app = Elihu(
        database_url,
        sessions=sessionmaker(binds={Base: engine}),
        queues={"triggers": 5},
        **SETTINGS,
    )
    await app.migrate()
    yield app
    await app.aclose()
    engine.dispose()


@pytest.mark.parametrize("lock", [True, False])
async def test_sessions_may_find_their_engine_by_the_model(
    bound_by_model: Elihu, store: Store, lock: bool
) -> None:
    app = bound_by_model
    trigger = declared(app, store, lock=lock).run_on("insert")

    def add() -> None:
        with app.trigger_defaults.sessions.begin() as session:
            session.add_all([Invoice(), Invoice()])

    await asyncio.to_thread(add)
    assert (await trigger.scan()).conflicts == 2
    await run_stored(app)
    assert {job.state for job in await jobs_of(app)} == {JobState.COMPLETED}
    assert [invoice.acts for invoice in store.all(select(Invoice))] == [1, 1]


@pytest.mark.parametrize("tenants", [["there", "here"], ["here", "there"]])
async def test_each_tenant_may_have_a_database_of_its_own(
    database_url: str,
    store: Store,
    tmp_path: Path,
    tenants: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The jobs are with the records of one tenant only: whether a job's end is part of
    the action's transaction is a question of each database.
    """
    engines = {
        "here": create_engine(driver_url(database_url, "sync")),
        "there": create_engine(f"sqlite:///{tmp_path / 'there.db'}"),
    }
    Base.metadata.create_all(engines["there"])
    makers = {tenant: sessionmaker(engine) for tenant, engine in engines.items()}

    def sessions(tenant: str) -> Session:
        return makers[tenant]()

    ends: list[Any] = []
    complete = InTransaction.complete

    def noted(self: InTransaction, completions: Any, *, known: bool = False) -> Any:
        answers = complete(self, completions, known=known)
        ends.extend(answers)
        return answers

    monkeypatch.setattr(InTransaction, "complete", noted)
    for maker in makers.values():
        with maker.begin() as session:
            session.add_all([Invoice(), Invoice()])
    app = Elihu(database_url, sessions=sessions, queues={"triggers": 1}, **SETTINGS)
    await app.migrate()
    async with app:
        trigger = declared(app, store, act, tenants=tenants)
        counts = await trigger.scan()
        assert counts.enqueued == 4
        await run_stored(app)
        assert {job.state for job in await jobs_of(app)} == {JobState.COMPLETED}
    assert len(ends) == 2
    for engine in engines.values():
        with Session(engine) as session:
            assert session.scalars(select(Invoice.acts)).all() == [1, 1]
        engine.dispose()
