"""Helpers for tests, in Django's own kinds of tests."""

from typing import Any

import pytest
from django.test import TestCase, TransactionTestCase

from elihu import JobNotFound, UnknownTask
from elihu.contrib.django import app
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.testing import (
    Drained,
    all_enqueued,
    assert_enqueued,
    drain,
    refute_enqueued,
)
from tests.django.project.shop.models import Order
from tests.django.project.shop.tasks import add, chain, end, mail, ran, ship


class InATransaction(TestCase):
    """Jobs are seen and run inside the transaction of a test."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.order = Order.objects.create(item="tea")
        ship.enqueue(cls.order.pk)

    def test_a_job_runs_on_the_data_of_the_test(self) -> None:
        assert drain() == Drained(completed=1)
        self.order.refresh_from_db()
        assert self.order.shipped

    def test_a_test_does_not_see_the_jobs_of_another(self) -> None:
        assert [job.args for job in all_enqueued()] == [{"order_id": self.order.pk}]

    def test_jobs_that_jobs_enqueue_run_too(self) -> None:
        chain.enqueue(3)
        assert drain().completed == 5

    async def test_an_asynchronous_test(self) -> None:
        await chain.aenqueue(1)


class WithCommits(TransactionTestCase):
    """Jobs are committed, and gone after the test."""

    def test_one(self) -> None:
        assert not Job.objects.exists()
        mail.enqueue("ada")
        assert app.run(app.jobs.count()) == 1

    test_another = test_one

    def test_a_job_outside_of_transactions(self) -> None:
        order = Order.objects.create(item="tea")
        ship.enqueue(order.pk)
        assert drain().completed == 1

    def test_the_connections_of_the_app_are_closed(self) -> None:
        with pytest.raises(JobNotFound):
            app.run(app.jobs.get(99))
        assert app.closed


@pytest.mark.django_db
def test_what_was_enqueued_can_be_asserted() -> None:
    refute_enqueued(mail)
    mail.enqueue("ada", text="hello")
    add.enqueue(1)
    assert assert_enqueued(mail, args={"to": "ada"}).queue == "mail"
    assert_enqueued(add)
    assert_enqueued("tests.django.project.shop.tasks.mail", queue="mail")
    refute_enqueued(mail, args={"to": "bob"})
    assert len(all_enqueued(queue="mail")) == 1
    with pytest.raises(AssertionError, match="'to': 'ada'"):
        assert_enqueued(mail, args={"to": "bob"})
    with pytest.raises(AssertionError, match="got tests"):
        refute_enqueued(mail)
    with pytest.raises(TypeError):
        assert_enqueued(7)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("how", "counts", "state", "outcomes"),
    [
        ("complete", {"completed": 1}, "completed", []),
        ("cancel", {"cancelled": 1}, "cancelled", ["cancelled"]),
        ("discard", {"discarded": 1}, "discarded", ["failed"]),
        ("snooze", {"snoozed": 1, "completed": 1}, "completed", ["snoozed"]),
        ("retry", {"failed": 1, "discarded": 1}, "discarded", ["failed", "failed"]),
        ("error", {"failed": 1, "discarded": 1}, "discarded", ["failed", "failed"]),
        ("database", {"failed": 1, "discarded": 1}, "discarded", ["failed", "failed"]),
    ],
)
def test_each_end_is_stored(
    how: str, counts: dict[str, int], state: str, outcomes: list[str]
) -> None:
    ran.clear()
    job = end.enqueue(how)
    assert drain(scheduled=True) == Drained(**counts)
    stored = Job.objects.get(pk=job.id)
    assert stored.state == state
    assert stored.attempt == sum(counts.values()) - counts.get("snoozed", 0)
    runs = Run.objects.order_by("claim")
    assert [run.outcome for run in runs] == outcomes
    assert [run.claim for run in runs] == list(range(1, len(outcomes) + 1))
    assert ran[0] == (how, 1)


@pytest.mark.django_db
def test_only_jobs_that_are_due_run() -> None:
    mail.using(delay=60).enqueue("ada")
    assert drain() == Drained()
    assert drain(queue="default", scheduled=True) == Drained()
    assert drain(queue="mail", scheduled=True).completed == 1


@pytest.mark.django_db
def test_an_unknown_task_is_an_error() -> None:
    mail.enqueue("ada")
    Job.objects.update(task="unknown")
    with pytest.raises(UnknownTask):
        drain()


@pytest.mark.django_db
def test_the_fixture_of_the_plugin_for_pytest(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        mail.enqueue("ada")
    assert_enqueued(mail)
