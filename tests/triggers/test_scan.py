"""Which records a scan finds, in which order, and the jobs it stores."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import select

from elihu import Elihu, InvalidTrigger
from tests.triggers.models import Document, Invoice, Line
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared


async def keys(app: Elihu) -> list[Any]:
    """The keys in the stored jobs, in the order in which they were stored."""
    jobs = (await app.jobs.list(limit=1_000)).items
    return [job.args["key"] for job in sorted(jobs, key=lambda job: job.id)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
async def test_pages_of_any_size_find_each_record_once(
    app: Elihu, store: Store, batch_size: int
) -> None:
    trigger = declared(app, store, batch_size=batch_size)
    store.add(*(Invoice() for _ in range(7)))
    assert (await trigger.scan()).enqueued == 7
    assert await keys(app) == [[number] for number in range(1, 8)]


@pytest.mark.parametrize("descending", [False, True])
async def test_an_order_with_equal_and_absent_values_leaves_none_out(
    app: Elihu, store: Store, descending: bool
) -> None:
    order = Invoice.due.desc() if descending else Invoice.due
    trigger = declared(app, store, order_by=order, batch_size=2)
    store.add(*(Invoice(due=due) for due in (3, None, 1, 3, None, 2, 1)))
    await trigger.scan()
    found = [key for (key,) in await keys(app)]
    ascending = [3, 7, 6, 1, 4, 2, 5]
    assert found == ([1, 4, 6, 3, 7, 2, 5] if descending else ascending)


async def test_composite_keys_are_paged(app: Elihu, store: Store) -> None:
    @app.trigger(
        Line, name="finish", where=Line.done.is_(False), cron=None, queue="triggers", batch_size=3
    )
    def finish(line: Line) -> None:
        line.done = True

    store.add(Invoice(), Invoice())
    store.add(*(Line(invoice_id=1 + n % 2, number=n) for n in range(8)))
    assert (await finish.scan()).enqueued == 8
    counts = await app.schedule_and_run_triggers(finish, drain=True)
    assert counts.success == 9
    assert all(line.done for line in store.all(select(Line)))


async def test_uuid_keys_come_back(app: Elihu, store: Store) -> None:
    @app.trigger(
        Document, name="finish", where=Document.done.is_(False), cron=None, queue="triggers"
    )
    def finish(document: Document) -> None:
        document.done = True

    store.add(*(Document(id=uuid.UUID(int=n)) for n in range(5)))
    counts = await app.schedule_and_run_triggers(finish, drain=True)
    assert counts.success == 6
    assert all(document.done for document in store.all(select(Document)))


async def test_record_limit_bounds_a_scan(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, record_limit=3, batch_size=2)
    store.add(*(Invoice() for _ in range(7)))
    assert (await trigger.scan()).enqueued == 3


async def test_where_may_be_a_callable_and_read_a_select(app: Elihu, store: Store) -> None:
    trigger = declared(
        app,
        store,
        where=lambda: Invoice.due > 1,
        read=lambda: select(Invoice).where(Invoice.note == "x"),
    )
    store.add(Invoice(due=1, note="x"), Invoice(due=2), Invoice(due=2, note="x"))
    await trigger.scan()
    assert await keys(app) == [[3]]


async def test_a_job_knows_input_metadata_and_extra_arguments(app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def note(record: Invoice, *, text: str, days: int, ctx: Any) -> None:
        seen.append((text, days, ctx.job.args["mail"], ctx.interaction))

    from elihu import Context

    note.__annotations__["ctx"] = Context
    trigger = app.trigger(
        Invoice,
        name="process",
        cron=None,
        queue="triggers",
        action_input={"text": "a", "days": 1},
        read_metadata=lambda record: {"days": record.due},
        extra_args=lambda record: {"mail": f"{record.id}@example.org"},
    )(note)
    store.add(Invoice(due=7))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert seen == [("a", 7, "1@example.org", "elihu")]


async def test_tenants_by_column_see_their_own_records(app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        seen.append((ctx.tenant, record.id))

    async def tenants() -> list[str]:
        await asyncio.sleep(0)
        return ["a", "b"]

    trigger = declared(app, store, note, tenants=tenants, tenant_column=Invoice.tenant)
    store.add(*(Invoice(tenant=tenant) for tenant in ("a", "b", "a", "c")))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert sorted(seen) == [("a", 1), ("a", 3), ("b", 2)]


async def test_a_record_names_its_tenant(app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        seen.append((ctx.tenant, record.id))

    trigger = declared(app, store, note, tenant_from_record=lambda record: record.tenant)
    store.add(Invoice(tenant="a"), Invoice(tenant="b"))
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert sorted(seen) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("state", ["paused", "deleted"])
async def test_a_trigger_that_is_not_active_scans_nothing_and_cancels(
    app: Elihu, store: Store, state: str
) -> None:
    trigger = declared(app, store, state=state, cron="* * * * *")
    (invoice,) = store.add(Invoice())
    assert (await trigger.scan()).matched == 0
    assert await app.crons.list() == []
    await trigger.arun(invoice)
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.cancelled == 1


async def test_a_scan_never_overlaps_itself(app: Elihu, store: Store) -> None:
    trigger = declared(app, store)
    first = await trigger.scan_task.aenqueue()
    second = await trigger.scan_task.aenqueue()
    assert (second.id, second.conflict) == (first.id, True)


async def test_a_read_of_another_model_is_refused(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, read=lambda: select(Line))
    with pytest.raises(InvalidTrigger, match=r"read: expected select\(Invoice\)"):
        await trigger.scan()
