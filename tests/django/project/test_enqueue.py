"""In which transaction an enqueue stores its jobs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections, transaction

from elihu import InvalidArguments, InvalidOption, NewJob, WrongLoop
from elihu.contrib.django import app
from elihu.contrib.django.models import Job
from elihu.contrib.django.testing import all_enqueued
from tests.django.project.shop.models import Order
from tests.django.project.shop.tasks import add, mail, ship, untyped

BOTH = pytest.mark.django_db(transaction=True, databases=["default", "other"])
OWN = pytest.mark.django_db(transaction=True)


class Undone(Exception):
    """Rolls a transaction back."""


@contextmanager
def undone(using: str = "default") -> Iterator[None]:
    """A transaction that is rolled back."""
    with suppress(Undone), transaction.atomic(using=using):
        yield
        raise Undone


def ids(number: int) -> Iterator[NewJob]:
    return (ship.build(each) for each in range(number))


@OWN
def test_a_job_joins_the_open_transaction() -> None:
    with undone():
        order = Order.objects.create(item="tea")
        assert ship.enqueue(order.pk).id
        assert [job.args for job in all_enqueued(ship)] == [{"order_id": order.pk}]
    assert all_enqueued() == []
    with transaction.atomic():
        job = ship.enqueue(1)
    assert [each.pk for each in all_enqueued()] == [job.id]


@OWN
def test_without_a_transaction_the_job_has_one_of_its_own() -> None:
    job = ship.enqueue(1)
    assert Job.objects.get(pk=job.id).state == "available"
    assert not connection.in_atomic_block


@OWN
def test_a_job_joins_a_transaction_begun_without_atomic() -> None:
    transaction.set_autocommit(False)
    try:
        ship.enqueue(1)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert all_enqueued() == []


@OWN
def test_no_connection_leaves_the_transaction_once() -> None:
    with undone():
        kept = ship.using(conn=None).enqueue(1)
    assert [job.pk for job in all_enqueued()] == [kept.id]


@OWN
def test_the_setting_leaves_every_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = app.project_settings._replace(join_transactions=False)
    monkeypatch.setattr(app, "project_settings", settings)
    with undone():
        kept = ship.enqueue(1)
    assert [job.pk for job in all_enqueued()] == [kept.id]


@BOTH
def test_with_a_transaction_of_another_database_the_job_waits_for_its_commit() -> None:
    with transaction.atomic(using="other"):
        job = ship.enqueue(1)
        assert job.id == 0
        assert all_enqueued() == []
    assert [each.pk for each in all_enqueued()] == [job.id]
    with undone("other"):
        ship.enqueue(2)
    assert len(all_enqueued()) == 1


@BOTH
def test_the_transaction_of_the_jobs_goes_before_another() -> None:
    with transaction.atomic(using="other"), transaction.atomic():
        assert ship.enqueue(1).id


@BOTH
def test_a_job_whose_commit_is_to_come_cannot_be_waited_for() -> None:
    with transaction.atomic(using="other"), pytest.raises(InvalidOption, match="'other'"):
        ship.submit(1)


@BOTH
def test_many_jobs_join_wait_or_are_stored_at_once() -> None:
    assert app.run(app.enqueue_many(ids(3), ids=True)).ids == [job.pk for job in all_enqueued()]
    with undone():
        assert app.run(app.enqueue_many(ids(3))).inserted == 3
    assert len(all_enqueued()) == 3
    with transaction.atomic(using="other"):
        done = app.run(app.enqueue_many(ids(4)))
        assert done.inserted == 0
    assert done.inserted == 4
    assert len(all_enqueued()) == 7


@pytest.mark.django_db
def test_asynchronous_code_stores_in_the_transaction_of_the_test() -> None:
    async def work() -> int:
        job = await ship.aenqueue(1)
        assert (await app.enqueue_many(ids(2))).inserted == 2
        return job.id

    job_id = async_to_sync(work)()
    assert all_enqueued()[0].pk == job_id
    assert len(all_enqueued()) == 3


@OWN
def test_asynchronous_code_inside_atomic_joins_it() -> None:
    with undone():
        async_to_sync(ship.aenqueue)(1)
        assert len(all_enqueued()) == 1
    assert all_enqueued() == []


@OWN
def test_a_program_with_a_loop_stores_at_once() -> None:
    async def work() -> None:
        await asyncio.gather(*(ship.aenqueue(number) for number in range(5)))
        await app.aclose()
        await sync_to_async(connections.close_all)()

    asyncio.run(work())
    assert len(all_enqueued()) == 5


def test_the_synchronous_verb_is_refused_in_a_loop() -> None:
    async def work() -> None:
        with pytest.raises(WrongLoop, match="aenqueue"):
            ship.enqueue(1)

    asyncio.run(work())


@pytest.mark.django_db
def test_a_unique_job_meets_the_one_of_the_same_transaction() -> None:
    first = mail.enqueue("ada")
    again = mail.enqueue("ada")
    assert (again.id, again.conflict) == (first.id, True)


@pytest.mark.parametrize(
    "enqueue", [ship.enqueue, untyped.enqueue, lambda order: untyped.enqueue([order])]
)
def test_a_record_is_refused_with_the_word_to_pass_its_key(enqueue: object) -> None:
    with pytest.raises(InvalidArguments, match="pass its key"):
        enqueue(Order(pk=5, item="tea"))  # type: ignore[operator]


def test_a_record_is_refused_by_the_backend_too() -> None:
    with pytest.raises(TypeError, match="pass its key"):
        add.enqueue(Order(pk=5))
