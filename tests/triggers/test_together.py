"""Chunks, actors and authorization."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session

from elihu import Chunk, Elihu, InvalidTrigger, Job, JobState, Trigger
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared


async def write(store: Store, work: Callable[[Session], Any]) -> None:
    """Do it in a transaction of the app's own kind of session."""
    if isinstance(store.sessions, async_sessionmaker):
        async with store.sessions.begin() as session:
            await session.run_sync(work)
    else:
        await asyncio.to_thread(store.change, work)


def act_on_all(invoices: list[Invoice], session: Any, ctx: Any) -> None:
    for invoice in invoices:
        act(invoice, session, ctx)
        invoice.note = str(len(invoices))


async def run_stored(app: Elihu) -> None:
    """Run the jobs that are stored, without another scan."""
    async with app.running() as node:
        for producer in node.producers:
            await producer.wait_idle()


async def jobs_of(app: Elihu) -> list[Job]:
    return (await app.jobs.list(task="process", limit=100)).items


async def test_a_chunk_is_one_call(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, act_on_all, chunk=Chunk(size=5, timeout=10))
    store.add(*(Invoice() for _ in range(10)))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert {job.state for job in await jobs_of(app)} == {JobState.COMPLETED}
    found = store.all(select(Invoice))
    assert [invoice.acts for invoice in found] == [1] * 10
    assert {invoice.note for invoice in found} == {"5"}


async def test_a_chunk_that_fails_runs_each_record_alone(app: Elihu, store: Store) -> None:
    def fail_on_odd(invoices: list[Invoice], session: Any, ctx: Any) -> None:
        act_on_all(invoices, session, ctx)
        if any(invoice.id % 2 for invoice in invoices):
            raise ValueError("odd")

    trigger = declared(app, store, fail_on_odd, chunk=Chunk(size=4, timeout=5))
    store.add(*(Invoice() for _ in range(4)))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert sorted(str(job.state) for job in await jobs_of(app)) == [
        "completed",
        "completed",
        "discarded",
        "discarded",
    ]
    assert [invoice.acts for invoice in store.all(select(Invoice).order_by(Invoice.id))] == [
        0, 1, 0, 1,
    ]  # fmt: skip


async def test_chunks_never_mix_tenants_or_what_by_returns(app: Elihu, store: Store) -> None:
    calls: list[set[Any]] = []

    def note(invoices: list[Invoice], session: Any, ctx: Any) -> None:
        act_on_all(invoices, session, ctx)
        calls.append({(invoice.tenant, invoice.due) for invoice in invoices})

    trigger = declared(
        app,
        store,
        note,
        chunk=Chunk(size=2, timeout=5, by=lambda args: args["due"]),
        tenants=["a", "b"],
        tenant_column=Invoice.tenant,
        extra_args=lambda record: {"due": record.due},
    )
    store.add(*(Invoice(tenant=t, due=d) for t in "ab" for d in (1, 2) for _ in range(2)))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert sorted(calls, key=str) == [{("a", 1)}, {("a", 2)}, {("b", 1)}, {("b", 2)}]


async def test_a_record_that_no_longer_matches_leaves_its_chunk(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, act_on_all, chunk=Chunk(size=3, timeout=5))
    store.add(*(Invoice() for _ in range(3)))
    await trigger.scan()
    store.change(lambda session: session.delete(session.get_one(Invoice, 2)))
    await run_stored(app)
    assert sorted(str(job.state) for job in await jobs_of(app)) == [
        "cancelled",
        "completed",
        "completed",
    ]


class Users:
    """Stores a user as their name."""

    def store(self, actor: dict[str, str]) -> str:
        return actor["name"]

    def lookup(self, stored: str | None) -> dict[str, str] | None:
        if stored == "gone":
            raise LookupError("no such user")
        return None if stored is None else {"name": stored}


def by_users(app: Elihu, store: Store, seen: list[Any], **options: Any) -> Trigger:
    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        seen.append(ctx.actor)

    return declared(app, store, note, actor_persister=Users(), **options)


async def test_an_actor_is_stored_and_found_again(app: Elihu, store: Store) -> None:
    seen: list[Any] = []
    trigger = by_users(app, store, seen, default_actor={"name": "system"})
    first, second = store.add(Invoice(), Invoice())
    await trigger.arun(first, actor={"name": "ada"})
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert sorted(actor["name"] for actor in seen) == ["ada", "system"]
    assert second.id == 2


async def test_arun_waits_for_an_asynchronous_persister(app: Elihu, store: Store) -> None:
    class Later(Users):
        async def store(self, actor: dict[str, str]) -> str:  # type: ignore[override]
            return super().store(actor)

    trigger = declared(app, store, actor_persister=Later())
    first, second = store.add(Invoice(), Invoice())
    jobs = await trigger.arun((each for each in (first, second)), actor={"name": "ada"})
    assert [job.args["actor"] for job in jobs] == ["ada", "ada"]
    with pytest.raises(InvalidTrigger, match=r"use arun\(\)"):
        trigger.run(first, actor={"name": "ada"})


async def test_an_actor_that_is_not_found_fails_the_job(app: Elihu, store: Store) -> None:
    trigger = by_users(app, store, [], default_actor={"name": "gone"})
    store.add(Invoice())
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    (job,) = await jobs_of(app)
    assert (counts.discard, job.reason) == (1, "LookupError: no such user")


async def test_a_refusal_cancels_the_job(app: Elihu, store: Store) -> None:
    def only_ada(actor: Any, action: Any, record: Any, *, ctx: Any) -> bool:
        assert ctx.interaction == "elihu"
        return bool(actor["name"] == "ada")

    trigger = by_users(app, store, [], authorize=only_ada)
    first, second = store.add(Invoice(), Invoice())
    await trigger.arun(first, actor={"name": "ada"})
    await trigger.arun(second, actor={"name": "bob"})
    await run_stored(app)
    states = {job.args["key"][0]: (job.state, job.reason) for job in await jobs_of(app)}
    assert states[1] == (JobState.COMPLETED, None)
    assert states[2][0] is JobState.CANCELLED
    assert "Forbidden" in (states[2][1] or "")


async def test_run_takes_options_of_using_and_a_connection(app: Elihu, store: Store) -> None:
    trigger = declared(app, store)
    first, second = store.add(Invoice(), Invoice())
    jobs = await trigger.arun([first, second], delay=600, tags=["late"])
    assert [(job.state, job.tags) for job in jobs] == [(JobState.SCHEDULED, ("late",))] * 2
    again = await trigger.arun(first)
    assert (again.id, again.conflict) == (jobs[0].id, True)
