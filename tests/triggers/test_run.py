"""What the job of a trigger does with its record."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Cancel, Discard, Elihu, Job, JobState, RunOutcome, Snooze, Trigger
from elihu.telemetry.events import JobStopped
from tests.support import EventRecorder
from tests.triggers.models import Invoice
from tests.triggers.store import Store


def act(invoice: Invoice, _session: Any, _ctx: Any) -> None:
    invoice.processed = True
    invoice.acts += 1


def declared(app: Elihu, store: Store, work: Callable[..., Any] = act, **options: Any) -> Trigger:
    given = {"where": Invoice.processed.is_(False), "cron": None, "queue": "triggers", **options}
    return app.trigger(Invoice, name="process", **given)(store.action(work))


async def ended(app: Elihu, events: EventRecorder, trigger: Trigger, number: int) -> list[Job]:
    """Scan, run until so many attempts of the trigger have ended, and return its jobs."""
    await trigger.scan()
    async with app.running():
        await events.until(
            lambda: sum(event.task == "process" for event in events.of(JobStopped)) >= number
        )
    return sorted((await app.jobs.list(task="process")).items, key=lambda job: job.id)


async def test_each_matching_record_is_acted_on_once(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    trigger = declared(app, store)
    store.add(*(Invoice() for _ in range(20)), Invoice(processed=True))
    counts = await trigger.scan()
    assert (counts.matched, counts.enqueued, counts.conflicts) == (20, 20, 0)
    again = await trigger.scan()
    assert (again.matched, again.enqueued, again.conflicts) == (20, 0, 20)
    jobs = await ended(app, events, trigger, 20)
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert [invoice.acts for invoice in store.all(select(Invoice).order_by(Invoice.id))] == [
        *[1] * 20,
        0,
    ]


async def test_a_record_that_changed_or_went_since_the_scan_is_skipped(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    trigger = declared(app, store)
    store.add(Invoice(), Invoice(), Invoice())
    await trigger.scan()
    store.change(
        lambda session: session.execute(
            update(Invoice).where(Invoice.id == 1).values(processed=True)
        )
    )
    store.change(lambda session: session.delete(session.get_one(Invoice, 2)))
    jobs = await ended(app, events, trigger, 3)
    assert [job.state for job in jobs] == [
        JobState.CANCELLED,
        JobState.CANCELLED,
        JobState.COMPLETED,
    ]
    assert all("TriggerNoLongerApplies" in (job.reason or "") for job in jobs[:2])


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Snooze(600), JobState.SCHEDULED),
        (Cancel("no"), JobState.CANCELLED),
        (Discard("bad"), JobState.DISCARDED),
        (ValueError("broken"), JobState.DISCARDED),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_an_action_raises_rolls_its_work_back(
    app: Elihu, store: Store, events: EventRecorder, outcome: Exception, state: JobState
) -> None:
    def raise_it(invoice: Invoice, session: Any, ctx: Any) -> None:
        act(invoice, session, ctx)
        raise outcome

    trigger = declared(app, store, raise_it)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    assert (job.state, store.all(select(Invoice))[0].acts) == (state, 0)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Snooze(600), JobState.SCHEDULED), (Cancel("no"), JobState.CANCELLED)],
    ids=lambda value: type(value).__name__,
)
async def test_what_an_action_returns_commits_its_work(
    app: Elihu, store: Store, events: EventRecorder, outcome: Exception, state: JobState
) -> None:
    def return_it(invoice: Invoice, session: Any, ctx: Any) -> Any:
        act(invoice, session, ctx)
        return outcome

    trigger = declared(app, store, return_it)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    assert (job.state, store.all(select(Invoice))[0].acts) == (state, 1)


@pytest.mark.parametrize("verb", ["commit", "rollback"])
async def test_an_action_that_ends_the_transaction_fails(
    app: Elihu, store: Store, events: EventRecorder, verb: str
) -> None:
    def end_it(invoice: Invoice, session: Any, ctx: Any) -> Any:
        act(invoice, session, ctx)
        return getattr(session, verb)()

    trigger = declared(app, store, end_it)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    assert (job.state, store.all(select(Invoice))[0].acts) == (JobState.DISCARDED, 0)
    assert "ActionCommitted" in (job.reason or "")


@pytest.mark.filterwarnings("ignore:transaction already deassociated")
async def test_an_action_that_commits_its_connection_fails(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    """The work is committed then. The job is not, and its error says why."""

    def commit(invoice: Invoice, session: Any, ctx: Any) -> Any:
        if isinstance(session, AsyncSession):
            return commit_later(session)
        return session.connection().commit()

    async def commit_later(session: AsyncSession) -> None:
        await (await session.connection()).commit()

    trigger = declared(app, store, commit)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    assert job.state is JobState.DISCARDED
    assert "ActionCommitted" in (job.reason or "")


async def test_on_error_runs_once_and_completes_the_job(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    def fail(invoice: Invoice, session: Any, ctx: Any) -> None:
        act(invoice, session, ctx)
        raise ValueError("broken")

    def on_error(invoice: Invoice, error: Exception, *, session: Any) -> None:
        invoice.note += f"{type(error).__name__}: {error};"

    trigger = declared(app, store, fail, on_error=on_error)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    (run,) = await app.jobs.runs(job.id)
    (invoice,) = store.all(select(Invoice))
    assert (job.state, job.reason, run.outcome) == (
        JobState.COMPLETED,
        "ValueError: broken",
        RunOutcome.FAILED,
    )
    assert (invoice.acts, invoice.note) == (0, "ValueError: broken;")


async def test_on_error_of_a_killed_attempt_runs_in_an_attempt_of_its_own(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    def wait(invoice: Invoice, session: Any, ctx: Any) -> Any:
        if store.kind == "async":
            return ctx.wait_cancelled()
        while not ctx.cancelled:
            ctx.progress(1)
        return None

    def on_error(invoice: Invoice, error: Exception) -> None:
        invoice.note += f"{error};"

    trigger = declared(app, store, wait, on_error=on_error, timeout=0.3)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 2)
    (invoice,) = store.all(select(Invoice))
    assert job.state is JobState.COMPLETED
    assert [run.outcome for run in await app.jobs.runs(job.id)] == [
        RunOutcome.TIMED_OUT,
        RunOutcome.FAILED,
    ]
    assert invoice.note == f"job {job.id} failed: timeout: ran longer than 0.3 s;"


async def test_on_error_that_fails_discards_the_job(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    calls: list[int] = []

    def fail(invoice: Invoice, session: Any, ctx: Any) -> None:
        raise ValueError("broken")

    def on_error(invoice: Invoice, error: Exception) -> None:
        calls.append(invoice.id)
        raise RuntimeError("worse")

    trigger = declared(app, store, fail, on_error=on_error)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    assert (job.state, len(calls)) == (JobState.DISCARDED, 1)
    assert "OnErrorFailed" in (job.reason or "")
    assert "broken" in (job.reason or "")


async def test_on_error_can_leave_the_job_failed(
    app: Elihu, store: Store, events: EventRecorder
) -> None:
    def fail(invoice: Invoice, session: Any, ctx: Any) -> None:
        raise ValueError("broken")

    def on_error(invoice: Invoice, error: Exception) -> None:
        invoice.note += "handled;"

    trigger = declared(app, store, fail, on_error=on_error, on_error_fails_job=True)
    store.add(Invoice())
    (job,) = await ended(app, events, trigger, 1)
    (invoice,) = store.all(select(Invoice))
    assert (job.state, job.reason, invoice.note) == (
        JobState.DISCARDED,
        "ValueError: broken",
        "handled;",
    )
