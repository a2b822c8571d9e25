"""``once``: a trigger acts on a record one time, by a row written with the action."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from elihu import Elihu, JobState, Retry, Snooze
from tests.support import EventRecorder
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import declared, ended


def count(invoice: Invoice, _session: Any, _ctx: Any) -> None:
    invoice.acts += 1


async def test_a_record_that_keeps_matching_is_acted_on_once(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    trigger = declared(app, store, count, once=True)
    store.add(Invoice(), Invoice())
    await ended(app, events, trigger, 2)
    counts = await trigger.scan()
    assert (counts.matched, counts.enqueued) == (0, 0)
    assert [invoice.acts for invoice in store.all(select(Invoice))] == [1, 1]


async def test_a_second_job_for_the_record_is_cancelled(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    trigger = declared(app, store, count, once=True)
    (invoice,) = store.add(Invoice())
    await ended(app, events, trigger, 1)
    await trigger.arun(invoice)
    jobs = await ended(app, events, trigger, 2)
    assert [job.state for job in jobs] == [JobState.COMPLETED, JobState.CANCELLED]
    assert "has acted on the record before" in (jobs[1].reason or "")
    assert [each.acts for each in store.all(select(Invoice))] == [1]


async def test_an_action_that_failed_has_not_acted(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    def fail_first(invoice: Invoice, session: Any, ctx: Any) -> None:
        count(invoice, session, ctx)
        if ctx.attempt == 1:
            raise ValueError("broken")

    trigger = declared(app, store, fail_first, once=True, max_attempts=2, backoff=0)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 2)
    assert (job.state, store.all(select(Invoice))[0].acts) == (JobState.COMPLETED, 1)


@pytest.mark.parametrize("outcome", [Snooze(0), Retry(delay=0)])
async def test_an_action_that_returns_to_come_again_has_not_acted(
    app: Elihu, store: Store, events: EventRecorder, outcome: Snooze | Retry
) -> None:
    def come_again(invoice: Invoice, session: Any, ctx: Any) -> Any:
        count(invoice, session, ctx)
        return outcome if invoice.acts == 1 else None

    trigger = declared(app, store, come_again, once=True, max_attempts=3)
    (invoice,) = store.add(Invoice())
    (job,) = await ended(app, events, trigger, 2)
    assert (job.state, store.all(select(Invoice))[0].acts) == (JobState.COMPLETED, 2)
    await trigger.arun(invoice)
    assert (await ended(app, events, trigger, 3))[1].state is JobState.CANCELLED


async def test_after_the_period_it_acts_again(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    trigger = declared(app, store, count, once=timedelta(milliseconds=1))
    store.add(Invoice())
    await ended(app, events, trigger, 1)
    await ended(app, events, trigger, 2)
    assert [each.acts for each in store.all(select(Invoice))] == [2]
