"""The signals of Django's tasks."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from elihu.contrib.django import Backend, app
from elihu.contrib.django.models import Job
from elihu.contrib.django.tasks_api import task_enqueued, task_finished, task_started
from elihu.contrib.django.testing import drain
from tests.django.project.shop import tasks

pytestmark = pytest.mark.django_db
SIGNALS = {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}


class Seen:
    """What the signals sent: name, id and status."""

    def __init__(self) -> None:
        self.every: list[tuple[str, str, str]] = []
        self.senders: set[type] = set()
        self.fails_at: str | None = None
        self._names = {id(signal): name for name, signal in SIGNALS.items()}

    def note(self, signal: Any, sender: type, task_result: Any, **_rest: Any) -> None:
        name = self._names[id(signal)]
        self.every.append((name, task_result.id, str(task_result.status)))
        self.senders.add(sender)
        if name == self.fails_at:
            raise RuntimeError("a receiver failed")

    def of(self, result: Any) -> list[tuple[str, str]]:
        return [(name, status) for name, id_, status in self.every if id_ == result.id]


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()
    for signal in SIGNALS.values():
        signal.connect(found.note)
    yield found
    for signal in SIGNALS.values():
        signal.disconnect(found.note)


def test_each_step_sends_one(seen: Seen) -> None:
    results = [tasks.add.enqueue(1), tasks.aadd.enqueue(1), tasks.fail.enqueue()]
    drain()
    assert seen.senders == {Backend}
    for result, last in zip(results, ("SUCCESSFUL", "SUCCESSFUL", "FAILED"), strict=True):
        steps = [("enqueued", "READY"), ("started", "RUNNING"), ("finished", last)]
        assert seen.of(result) == steps


@pytest.mark.parametrize("raised", [True, False])
@pytest.mark.parametrize("how", ["cancel", "discard", "retry"])
def test_an_outcome_that_ends_the_job_finishes_the_task(how: str, raised: bool, seen: Seen) -> None:
    result = tasks.choose.enqueue(how, raised)
    drain()
    result.refresh()
    assert str(result.status) == "FAILED"
    assert seen.of(result)[-1] == ("finished", "FAILED")


@pytest.mark.parametrize("raised", [True, False])
def test_a_snooze_finishes_nothing(raised: bool, seen: Seen) -> None:
    result = tasks.choose.enqueue("snooze", raised)
    drain()
    assert [name for name, _ in seen.of(result)] == ["enqueued", "started"]


def test_an_attempt_that_is_not_the_last_finishes_nothing(seen: Seen) -> None:
    result = tasks.second_time.enqueue()
    drain(scheduled=True)
    assert [name for name, _ in seen.of(result)] == ["enqueued", "started", "started", "finished"]


@pytest.mark.parametrize("add", [tasks.add, tasks.aadd])
def test_a_receiver_cannot_fail_what_has_finished(add: Any, seen: Seen) -> None:
    seen.fails_at = "finished"
    result = add.enqueue(1)
    assert drain().completed == 1
    result.refresh()
    assert result.return_value == 3


def test_a_job_that_was_there_before_is_not_enqueued(seen: Seen) -> None:
    first, again = tasks.once.enqueue(1), tasks.once.enqueue(1)
    assert first.id == again.id
    assert seen.of(first) == [("enqueued", "READY")]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_with_a_transaction_of_another_database_all_comes_with_the_commit(seen: Seen) -> None:
    with transaction.atomic(using="other"):
        result = tasks.add.enqueue(1)
        assert (result.id, result.enqueued_at) == ("0", None)
        assert seen.every == []
    assert seen.every == [("enqueued", result.id, "READY")]
    assert tasks.add.get_result(result.id) == result


@pytest.mark.django_db(transaction=True)
def test_the_stop_of_a_node_finishes_nothing(seen: Seen, settings: Any) -> None:
    settings.ELIHU = {**settings.ELIHU, "grace": 0.1}
    result = tasks.wait.enqueue()

    async def work() -> None:
        async with app:
            async with app.running({"default": 1}), asyncio.timeout(30):
                while ("started", "RUNNING") not in seen.of(result):
                    await asyncio.sleep(0.01)
            await sync_to_async(connections.close_all)()

    asyncio.run(work())
    assert [name for name, _ in seen.of(result)] == ["enqueued", "started"]
    assert Job.objects.get(pk=result.id).state == "available"
