"""Jobs that are stored with the records that they are for."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.orm import Session

from elihu import Elihu
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import declared
from tests.triggers.test_together import jobs_of, run_stored, write

pytestmark = pytest.mark.sqlite_first

WARNING = "run_on stores no job for rows written by insert(), update() or the bulk methods"
TABLE = cast(Table, Invoice.__table__)


class Counted(Exception): ...


async def test_run_on_stores_the_job_with_the_record(app: Elihu, store: Store) -> None:
    declared(app, store, where=(Invoice.note == "run") & ~Invoice.processed).run_on(
        "insert", "update", when=lambda record: record.note == "run"
    )

    def add(session: Session) -> None:
        session.add_all([Invoice(note="run"), Invoice(note="not"), Invoice(note="run")])

    def add_and_fail(session: Session) -> None:
        add(session)
        session.flush()
        raise Counted

    await write(store, add)
    assert [job.args["key"] for job in await jobs_of(app)] == [[3], [1]]
    with pytest.raises(Counted):
        await write(store, add_and_fail)
    assert len(await jobs_of(app)) == 2
    await run_stored(app)
    assert [invoice.acts for invoice in store.all(select(Invoice).order_by(Invoice.id))] == [
        1, 0, 1,
    ]  # fmt: skip

    def change(session: Session) -> None:
        session.get_one(Invoice, 2).note = "run"

    await write(store, change)
    assert (await jobs_of(app))[0].args["key"] == [2]


async def test_run_on_stores_the_jobs_of_records_that_statements_return(
    app: Elihu, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    declared(app, store).run_on("insert", "update", when=lambda record: record.note == "run")
    rows = [{"note": note} for note in ("run", "not", "run")]

    def insert_many(session: Session) -> None:
        found = session.scalars(insert(Invoice).returning(Invoice), rows).all()
        assert [each.note for each in found] == ["run", "not", "run"]
        assert all(each in session for each in found)

    def insert_and_fail(session: Session) -> None:
        insert_many(session)
        raise Counted

    def change(session: Session) -> None:
        statement = update(Invoice).where(Invoice.note == "not").values(note="run")
        ((number, record),) = session.execute(statement.returning(Invoice.id, Invoice))
        assert (number, record.note) == (2, "run")

    await write(store, insert_many)
    assert sorted(job.args["key"] for job in await jobs_of(app)) == [[1], [3]]
    with pytest.raises(Counted):
        await write(store, insert_and_fail)
    assert len(await jobs_of(app)) == 2
    await write(store, change)
    assert sorted(job.args["key"] for job in await jobs_of(app)) == [[1], [2], [3]]
    assert WARNING not in caplog.text


def values(session: Session) -> None:
    session.execute(insert(Invoice).values(note="x"))


def many(session: Session) -> None:
    session.execute(insert(Invoice), [{"note": "x"}, {"note": "y"}])


def numbers(session: Session) -> None:
    assert len(session.scalars(insert(Invoice).returning(Invoice.id), [{"note": "x"}]).all()) == 1


def core(session: Session) -> None:
    session.connection().execute(insert(TABLE).values(note="x"))


def mappings(session: Session) -> None:
    session.bulk_insert_mappings(Invoice.__mapper__, [{"note": "x"}])


def objects(session: Session) -> None:
    session.bulk_save_objects([Invoice(note="x")])


def after_a_flush(session: Session) -> None:
    session.add(Invoice(note="not"))
    session.flush()
    objects(session)


@pytest.mark.parametrize(
    "work",
    [values, many, numbers, core, mappings, objects, after_a_flush],
    ids=lambda work: work.__name__,
)
async def test_run_on_says_what_it_does_not_see(
    app: Elihu, store: Store, caplog: pytest.LogCaptureFixture, work: Callable[[Session], Any]
) -> None:
    declared(app, store).run_on("insert", when=lambda record: record.note != "not")
    await write(store, lambda session: session.add(Invoice(note="not")))
    store.change(lambda session: session.execute(delete(TABLE)))
    assert WARNING not in caplog.text
    await write(store, work)
    await write(store, lambda session: session.execute(insert(Invoice).values(note="y")))
    assert caplog.text.count(WARNING) == 1
    assert await jobs_of(app) == []
