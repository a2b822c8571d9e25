"""How a tenant applies: by column, schema, session factory, or what the record says."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from elihu import Elihu, InvalidTrigger, Tasks
from tests.support import QUICK
from tests.triggers.models import Base, Invoice
from tests.triggers.store import Store, driver_url
from tests.triggers.test_run import act, declared


@contextmanager
def schema_of(url: str, name: str) -> Iterator[Session]:
    """A session on the tables of a tenant's schema."""
    engine = create_engine(driver_url(url, "sync"))
    there = engine.execution_options(schema_translate_map={None: name})
    with Session(there) as session, session.begin():
        yield session
    engine.dispose()


def make_schema(url: str, name: str) -> None:
    engine = create_engine(driver_url(url, "sync"))
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {name}"))
    Base.metadata.create_all(engine.execution_options(schema_translate_map={None: name}))
    engine.dispose()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_tenants_records_are_in_its_schema(
    app: Elihu, store: Store, database_url: str
) -> None:
    for tenant, number in (("oslo", 2), ("bergen", 1)):
        make_schema(database_url, tenant)
        with schema_of(database_url, tenant) as session:
            session.add_all(Invoice() for _ in range(number))
    failed: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        record.note = ctx.tenant
        if record.id == 2:
            raise ValueError("the second")

    def on_error(record: Invoice, error: Exception, *, ctx: Any) -> None:
        record.note = f"failed in {ctx.tenant}"
        record.processed = True
        failed.append(record.id)

    trigger = declared(
        app, store, note, tenants=["oslo", "bergen"], tenant_schema=True, on_error=on_error
    )
    store.add(Invoice())  # of no tenant
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.success == 1 + 3  # the scan, and three jobs of which on_error completes one
    seen = {}
    for tenant in ("oslo", "bergen"):
        with schema_of(database_url, tenant) as session:
            found = session.scalars(select(Invoice).order_by(Invoice.id)).all()
            seen[tenant] = [(invoice.acts, invoice.note) for invoice in found]
    assert seen == {"oslo": [(1, "oslo"), (0, "failed in oslo")], "bergen": [(1, "bergen")]}
    assert failed == [2]
    assert [invoice.acts for invoice in store.all(select(Invoice))] == [0]


async def test_a_factory_takes_the_tenant(app: Elihu, store: Store, kind: str) -> None:
    opened: list[Any] = []

    def sessions(*, tenant: str | None) -> Any:
        opened.append(tenant)
        session = store.sessions()
        session.info["tenant"] = tenant
        return session

    seen: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        seen.append((session.info["tenant"], ctx.tenant))

    if kind == "sync":
        from sqlalchemy.orm import Session as Plain

        sessions.__annotations__["return"] = Plain
    trigger = declared(app, store, note, tenants=["a"], sessions=sessions)
    store.add(Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert seen == [("a", "a")]
    assert set(opened) == {"a"}


async def test_a_factory_of_the_wrong_kind_is_named(app: Elihu, store: Store) -> None:
    trigger = declared(app, store, sessions=object)
    with pytest.raises(InvalidTrigger, match=r"expected the factory to return an? \w*Session"):
        await trigger.scan()


async def test_equal_keys_of_two_tenants_are_two_jobs(app: Elihu, store: Store) -> None:
    trigger = declared(app, store)
    (invoice,) = store.add(Invoice())
    jobs = [await trigger.arun(invoice, tenant=tenant) for tenant in ("a", "b", "a")]
    assert [job.conflict for job in jobs] == [False, False, True]


@pytest.fixture
async def of_the_app(database_url: str, store: Store) -> AsyncIterator[Elihu]:
    """An app that decides about tenants for all of its triggers."""
    async with Elihu(
        database_url,
        sessions=store.sessions,
        queues={"triggers": 2},
        tenants=lambda: ["a", "b"],
        tenant_from_record=lambda record: record.tenant,
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
    ) as app:
        await app.migrate()
        yield app


async def test_the_app_decides_for_triggers_that_do_not(of_the_app: Elihu, store: Store) -> None:
    seen: list[Any] = []

    def note(record: Invoice, session: Any, ctx: Any) -> None:
        act(record, session, ctx)
        seen.append((ctx.tenant, record.id))

    trigger = declared(of_the_app, store, note)
    store.add(Invoice(tenant="x"), Invoice(tenant=None))
    counts = await trigger.scan()
    # the record's own tenant wins; one without belongs to each tenant of the list
    assert (counts.matched, counts.enqueued) == (4, 3)
    await of_the_app.schedule_and_run_triggers(trigger, drain=True)
    assert {tenant for tenant, key in seen if key == 1} == {"x"}
    assert {tenant for tenant, key in seen if key == 2} <= {"a", "b"}


@pytest.mark.parametrize("tenants", ["abc", 7, lambda: 7], ids=["text", "number", "callable"])
async def test_tenants_are_a_list(app: Elihu, store: Store, tenants: Any) -> None:
    trigger = declared(app, store, tenants=tenants)
    with pytest.raises(InvalidTrigger, match="tenants: expected a list of tenants"):
        await trigger.scan()


async def test_a_group_of_another_app_keeps_its_triggers(app: Elihu, store: Store) -> None:
    tasks = Tasks()
    work = store.action(act)
    trigger = tasks.trigger(
        Invoice, name="late", where=~Invoice.processed, cron=None, queue="triggers"
    )(work)
    app.include(tasks)
    store.add(Invoice())
    counts = await app.schedule_and_run_triggers("late", drain=True)
    assert counts.success == 2
    assert app.triggers["late"] is trigger
