"""Keys of every kind, as a scan pages through them and a job finds its record again."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import DateTime, ForeignKey, Numeric, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from elihu import Chunk, Elihu, InvalidTrigger
from tests.triggers.models import Invoice
from tests.triggers.store import Store, driver_url
from tests.triggers.test_run import declared
from tests.triggers.test_scan import keys


class Base(DeclarativeBase): ...


class Named(Base):
    """Has a text as its key."""

    __tablename__ = "named"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


class Reading(Base):
    """Has a key of a UUID, a day and a number with places."""

    __tablename__ = "reading"

    meter: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    place: Mapped[Decimal] = mapped_column(Numeric(6, 2), primary_key=True)
    rank: Mapped[int | None]
    score: Mapped[float | None]
    done: Mapped[bool] = mapped_column(default=False)


class Animal(Base):
    """The base of a hierarchy with a table for each class."""

    __tablename__ = "animal"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    fed: Mapped[bool] = mapped_column(default=False)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    """Has its own table beside that of all animals."""

    __tablename__ = "dog"

    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    barks: Mapped[bool] = mapped_column(default=True)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Price(Base):
    """Has a number as its key, which the database writes with three places."""

    __tablename__ = "price"

    id: Mapped[Decimal] = mapped_column(Numeric(9, 3), primary_key=True, autoincrement=False)
    done: Mapped[bool] = mapped_column(default=False)


class Moment(Base):
    """Has a time as its key, which the database writes in its own zone, or in none."""

    __tablename__ = "moment"

    id: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


class Blob(Base):
    """Has bytes as its key."""

    __tablename__ = "blob"

    id: Mapped[bytes] = mapped_column(primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


class Order(Base):
    """Is always read with its items, by a join."""

    __tablename__ = "order_with_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)
    items: Mapped[list["Item"]] = relationship(lazy="joined")


class Item(Base):
    """A part of an order."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order_with_items.id"))


@pytest.fixture
async def more(database_url: str, store: Store) -> AsyncIterator[Store]:
    """The store, with the tables of this file."""
    engine = create_engine(driver_url(database_url, "sync"))
    await asyncio.to_thread(Base.metadata.create_all, engine)
    yield store
    engine.dispose()


def finish(record: Any, *, session: Any) -> None:
    record.done = True


async def test_text_keys_with_anything_in_them(app: Elihu, more: Store) -> None:
    trigger = app.trigger(
        Named, name="finish", where=~Named.done, cron=None, queue="triggers", batch_size=3
    )(finish)
    names = ["", " ", "a", "A", "ä", "z", '"', "'; --", "\\", "1", "null", "🐟", "a\nb", "%s", ":x"]
    more.add(*(Named(name=name) for name in names))
    assert (await trigger.scan()).enqueued == len(names)
    assert sorted(key for (key,) in await keys(app)) == sorted(names)
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.success == 1 + len(names)
    assert all(named.done for named in more.all(select(Named)))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
async def test_a_key_of_three_kinds_in_an_order_with_nulls(
    app: Elihu, more: Store, batch_size: int
) -> None:
    trigger = app.trigger(
        Reading,
        name="finish",
        where=~Reading.done,
        order_by=[Reading.rank.desc(), Reading.score],
        cron=None,
        queue="triggers",
        batch_size=batch_size,
    )(finish)
    made = [
        Reading(
            meter=uuid.UUID(int=number % 3),
            day=date(2026, 1, 1 + number),
            place=Decimal(number) / 4,
            rank=None if number % 4 == 0 else number % 3,
            score=None if number % 5 == 0 else number % 2 + 0.5,
        )
        for number in range(13)
    ]
    more.add(*made)
    assert (await trigger.scan()).enqueued == 13
    expected = sorted(
        made,
        key=lambda each: (
            each.rank is None,
            -(each.rank or 0),
            each.score is None,
            each.score or 0.0,
            each.meter,
            each.day,
        ),
    )
    assert [key[:2] for key in await keys(app)] == [
        [str(each.meter), each.day.isoformat()] for each in expected
    ]
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.success == 1 + 13
    assert all(reading.done for reading in more.all(select(Reading)))


EAST = timezone(timedelta(hours=3))


@pytest.mark.parametrize("chunk", [None, Chunk(size=2, timeout=5)], ids=["alone", "chunk"])
@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Price, [Decimal("1.5"), Decimal("2.25")]),
        (Moment, [datetime(2026, 1, day, tzinfo=EAST) for day in (1, 2)]),
        (Blob, [b"", b"\xff\x00\n"]),
    ],
    ids=["numeric", "time", "bytes"],
)
@pytest.mark.parametrize("scanned", [False, True], ids=["run", "scan"])
async def test_a_key_that_the_database_writes_otherwise(
    app: Elihu, more: Store, model: Any, values: list[Any], scanned: bool, chunk: Chunk | None
) -> None:
    def finish_all(records: Any) -> None:
        for record in records if isinstance(records, list) else [records]:
            record.done = True

    trigger = app.trigger(
        model, name="finish", where=~model.done, cron=None, queue="triggers", chunk=chunk
    )(finish_all)
    made = more.add(*(model(id=value) for value in values))
    if scanned:
        await trigger.scan()
    else:
        await trigger.arun(made)
    async with app.running() as node:
        for producer in node.producers:
            await producer.wait_idle()
    assert [record.done for record in more.all(select(model))] == [True, True]
    assert await app.jobs.count(state="completed") == 2


async def test_a_scan_of_records_that_are_read_with_others(app: Elihu, more: Store) -> None:
    trigger = app.trigger(
        Order,
        name="finish",
        where=~Order.done,
        cron=None,
        queue="triggers",
        batch_size=2,
        extra_args=lambda order: {"items": len(order.items)},
    )(finish)
    more.add(*(Order(items=[Item() for _ in range(number)]) for number in range(5)))
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.success == 1 + 5
    jobs = (await app.jobs.list(task="finish")).items
    assert sorted(job.args["items"] for job in jobs) == [0, 1, 2, 3, 4]
    assert all(more.all(select(Order.done)))


async def test_a_model_with_a_table_of_its_parent(app: Elihu, more: Store) -> None:
    def feed(dog: Dog) -> None:
        dog.fed = True

    trigger = app.trigger(
        Dog, name="feed", where=~Dog.fed & Dog.barks, cron=None, queue="triggers"
    )(feed)
    more.add(Dog(), Animal(kind="animal"), Dog(barks=False))
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert counts.success == 1 + 1
    assert [animal.fed for animal in more.all(select(Animal).order_by(Animal.id))] == [
        True, False, False,
    ]  # fmt: skip


async def test_a_record_without_a_key_has_no_job(app: Elihu, more: Store) -> None:
    trigger = declared(app, more)
    with pytest.raises(InvalidTrigger, match="flush its session first"):
        trigger.build(Invoice())
    with pytest.raises(InvalidTrigger, match="expected a record of Invoice, got Named"):
        trigger.build(Named(name="x"))


async def test_a_scan_and_a_call_build_the_same_job(app: Elihu, more: Store) -> None:
    trigger = app.trigger(
        Named, name="finish", cron=None, queue="triggers", action_input={"note": "é"}
    )(_with_note)
    (named,) = more.add(Named(name="ä\n"))
    await trigger.scan()
    assert (await trigger.arun(named)).conflict
    assert not (await trigger.arun(named, action_input={"note": "x"})).conflict


def _with_note(record: Named, *, note: str) -> None: ...
