"""Actions without a lock on their record."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Elihu, ElihuError, JobState
from elihu.enqueue import holding
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared
from tests.triggers.test_together import jobs_of, run_stored


def by_flush(invoice: Invoice, session: Any) -> Any:
    act(invoice, session, None)


def by_statement(invoice: Invoice, session: Any) -> Any:
    return session.execute(update(Invoice).values(acts=1).where(Invoice.id == invoice.id))


@pytest.mark.parametrize("write", [by_flush, by_statement], ids=lambda write: write.__name__)
async def test_without_a_lock_a_record_that_changed_meanwhile_is_left(
    app: Elihu, store: Store, write: Callable[[Invoice, Any], Any]
) -> None:
    def change_first(invoice: Invoice, session: Any, ctx: Any) -> Any:
        if invoice.id == 1:
            store.change(lambda other: setattr(other.get_one(Invoice, 1), "processed", True))
        found = write(invoice, session)
        return finish(found) if inspect.isawaitable(found) else None

    async def finish(found: Any) -> None:
        await found

    trigger = declared(app, store, change_first, lock=False)
    for _ in range(2):  # one after the other: the change waits for a writer, and blocks the loop
        store.add(Invoice())
        await app.schedule_and_run_triggers(trigger, drain=True)
    assert {job.args["key"][0]: job.state for job in await jobs_of(app)} == {
        1: JobState.CANCELLED,
        2: JobState.COMPLETED,
    }
    assert [invoice.acts for invoice in store.all(select(Invoice).order_by(Invoice.id))] == [0, 1]


@pytest.mark.parametrize("lock", [True, False])
async def test_an_enqueue_behind_the_first_write_says_what_it_needs_on_sqlite(
    app: Elihu, store: Store, lock: bool
) -> None:
    other = app.task(name="other")(lambda: None)

    def enqueue(invoice: Invoice, session: Any, ctx: Any) -> Any:
        act(invoice, session, ctx)
        if isinstance(session, AsyncSession):
            return enqueue_later(session)
        session.flush()
        other.enqueue()
        return None

    async def enqueue_later(session: AsyncSession) -> None:
        await session.flush()
        await other.aenqueue()

    trigger = declared(app, store, enqueue, lock=lock)
    store.add(Invoice())
    await trigger.scan()
    await run_stored(app)
    (job,) = await jobs_of(app)
    if app.config.database_url.startswith("postgresql"):
        assert job.state is JobState.COMPLETED
    else:
        assert job.state is JobState.DISCARDED
        assert "enqueue: expected using(conn=session) inside an action" in (job.reason or "")


def database_path_of(app: Elihu) -> Path:
    return Path(app.config.database_url.removeprefix("sqlite:///")).resolve()


@pytest.mark.parametrize(
    "write",
    [
        lambda app: app.jobs.cancel(queue="none"),
        lambda app: app.jobs.update(1, priority=1),
        lambda app: app.jobs.stop(1),
        lambda app: app.queues.scale("default", 2),
        lambda app: app.crons.pause("none"),
        lambda app: app.crons.delete("none"),
        lambda app: app.templates.delete("none"),
        lambda app: app.templates.update("none", queue="default"),
    ],
    ids=["cancel", "update", "stop", "queues", "crons", "crons-delete", "templates", "changes"],
)
async def test_a_verb_that_writes_does_not_wait_for_its_own_action_on_sqlite(
    app: Elihu, write: Callable[[Elihu], Any]
) -> None:
    await app.jobs.count()
    path = database_path_of(app)
    with holding(path):
        assert await app.jobs.count() == 0, "verbs that read wait for nothing"
        try:
            await write(app)
        except ElihuError as error:
            refused = "expected a call before or after the action" in str(error)
        else:
            refused = False
    assert refused is app.config.database_url.startswith("sqlite")
