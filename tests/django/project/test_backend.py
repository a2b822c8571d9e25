"""Django's tasks as jobs: what a backend promises."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.utils import timezone

from elihu import InvalidOption
from elihu.contrib.django import Backend, app, task
from elihu.contrib.django.backend import priority_of
from elihu.contrib.django.models import Job
from elihu.contrib.django.tasks_api import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
)
from elihu.contrib.django.testing import drain
from tests.django.project.shop import tasks

pytestmark = pytest.mark.django_db
backend: Any = task_backends["default"]


def test_every_capability_is_there() -> None:
    assert isinstance(backend, Backend)
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority


@pytest.mark.parametrize("add", [tasks.add, tasks.aadd])
def test_a_result_follows_the_job(add: Any) -> None:
    result = add.enqueue(3, b=4)
    assert result.status == TaskResultStatus.READY
    assert (result.args, result.kwargs, result.attempts) == ([3], {"b": 4}, 0)
    assert result.enqueued_at is not None
    assert (result.started_at, result.finished_at, result.errors) == (None, None, [])
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    assert drain().completed == 1
    result.refresh()
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 7)
    assert result.is_finished
    assert (result.attempts, len(result.worker_ids)) == (1, 1)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert add.get_result(result.id).task.func is add.func


def test_a_result_that_is_read_equals_the_one_of_the_enqueue() -> None:
    after = datetime.now(UTC) + timedelta(hours=1)
    for each in (tasks.add, tasks.urgent, tasks.add.using(priority=-7, run_after=after)):
        result = each.enqueue()
        assert result.task == each
        assert backend.get_result(result.id) == result


def test_asynchronous_verbs() -> None:
    async def work() -> None:
        result = await tasks.add.aenqueue(1)
        again = await tasks.add.aget_result(result.id)
        assert (again.id, again.args) == (result.id, [1])
        await result.arefresh()
        with pytest.raises(TaskResultDoesNotExist):
            await backend.aget_result("0")

    async_to_sync(work)()


@pytest.mark.parametrize("wrong", ["", "x", "-1", "999999", "9" * 30, "1.5"])
def test_an_unknown_id_has_no_result(wrong: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(wrong)


def test_a_job_of_the_app_is_no_result() -> None:
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(str(tasks.ship.enqueue(1).id))


def test_a_result_of_another_task_and_of_another_backend() -> None:
    result = tasks.add.enqueue(1)
    with pytest.raises(Exception, match="does not match"):
        tasks.aadd.get_result(result.id)
    with pytest.raises(TaskResultDoesNotExist):
        task_backends["patient"].get_result(result.id)


@pytest.mark.parametrize("failing", [tasks.fail, tasks.afail])
def test_a_task_has_one_attempt_unless_an_option_says_more(failing: Any) -> None:
    result = failing.enqueue()
    assert drain().discarded == 1
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert "a wrong value" in error.traceback
    assert result.attempts == 1


def test_a_task_that_exits_has_failed() -> None:
    result = tasks.leave.enqueue()
    assert drain().discarded == 1
    result.refresh()
    assert (result.status, result.errors[0].exception_class) == ("FAILED", SystemExit)


def test_the_options_of_a_backend_are_options_of_its_tasks() -> None:
    result = tasks.fail_thrice.enqueue()
    job = Job.objects.get(pk=result.id)
    assert (job.max_attempts, job.tags) == (3, ["patient"])
    drained = drain(scheduled=True)
    assert (drained.failed, drained.discarded) == (2, 1)
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [KeyError] * 3
    assert result.attempts == 3
    assert result.started_at < result.last_attempted_at


def test_a_task_that_will_be_tried_again_is_ready() -> None:
    result = tasks.second_time.enqueue()
    assert drain().failed == 1
    result.refresh()
    assert (result.status, len(result.errors)) == (TaskResultStatus.READY, 1)
    assert drain(scheduled=True).completed == 1
    result.refresh()
    assert (result.return_value, result.attempts) == (1, 2)


def test_uniqueness_by_an_option() -> None:
    first, again, other = (tasks.once.enqueue(number) for number in (1, 1, 2))
    assert first.id == again.id != other.id


def test_a_task_may_be_used_with_another_backend() -> None:
    result = tasks.add.using(backend="patient").enqueue(1)
    assert (result.backend, Job.objects.get(pk=result.id).max_attempts) == ("patient", 3)
    assert task_backends["patient"].get_result(result.id).task.backend == "patient"


def test_the_context_of_a_task() -> None:
    result = tasks.attempt.enqueue(text="hello")
    other = tasks.aattempt.enqueue()
    assert drain().completed == 2
    result.refresh()
    other.refresh()
    assert result.return_value == [1, result.id, "RUNNING", "hello"]
    assert other.return_value == 1


def test_a_time_to_run_after() -> None:
    after = datetime.now(UTC) + timedelta(hours=1)
    result = tasks.add.using(run_after=after).enqueue(1)
    assert drain().completed == 0
    assert Job.objects.get(pk=result.id).scheduled_at == after
    assert tasks.add.get_result(result.id).task.run_after == after
    assert drain(scheduled=True).completed == 1


def test_a_higher_priority_runs_first() -> None:
    order = [tasks.add.using(priority=each).enqueue(1) for each in (-100, 0, 50, 100)]
    stored = [Job.objects.get(pk=result.id).priority for result in order]
    assert stored == [9, 4, 2, 0]
    assert tasks.add.get_result(order[2].id).task.priority == 50
    assert [priority_of(each) for each in (100, 0, -100)] == [0, 4, 9]
    every = [priority_of(each) for each in range(-100, 101)]
    assert every == sorted(every, reverse=True)
    assert set(every) == set(range(10))


def test_a_queue_of_the_settings() -> None:
    result = tasks.urgent.enqueue()
    assert Job.objects.get(pk=result.id).queue == "mail"
    declared = app.task_named(tasks.urgent.module_path).options
    assert (declared.queue, declared.priority) == ("mail", 0)
    with pytest.raises(InvalidTask, match="unknown"):
        tasks.add.using(queue_name="unknown")
    anywhere = tasks.add.using(backend="anywhere", queue_name="unknown").enqueue(1)
    assert Job.objects.get(pk=anywhere.id).queue == "unknown"


def local() -> None: ...


def test_what_cannot_be_a_task() -> None:
    with pytest.raises(InvalidTask, match="module level"):
        task(lambda: None)
    with pytest.raises(InvalidTask, match="context"):
        task(takes_context=True)(local)
    with pytest.raises(InvalidTask, match="priority"):
        task(priority=101)(local)
    with pytest.raises(InvalidTask, match="max_attempts"):
        task(max_attempts=0)(local)
    with pytest.raises(TypeError):
        task(max_attempt=1)(local)
    with pytest.raises(InvalidTask, match="aware"):
        tasks.add.using(run_after=datetime(2030, 1, 1))  # noqa: DTZ001


def test_options_that_something_else_sets_are_refused() -> None:
    with pytest.raises(InvalidOption, match="queue_name"):
        Backend("x", {"OPTIONS": {"queue": "mail"}})


@pytest.mark.parametrize("value", [object(), {1, 2}, datetime(2030, 1, 1, tzinfo=UTC)])
def test_arguments_are_json(value: Any) -> None:
    with pytest.raises(TypeError):
        tasks.add.enqueue(value)
    assert Job.objects.count() == 0


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("object", TypeError, "Unsupported type"),
        ("keys", ValueError, "expected texts for keys"),
        ("large", ValueError, "at most 8,388,608 bytes"),
    ],
)
def test_a_value_that_cannot_be_stored_fails_the_task(what: str, kind: type, words: str) -> None:
    result = tasks.give.enqueue(what)
    assert drain().discarded == 1
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is kind
    assert words in result.errors[0].traceback


def test_a_cancelled_job_is_a_failed_task() -> None:
    result = tasks.add.enqueue(1)
    Job.objects.filter(pk=result.id).update(state="cancelled", finished_at=datetime.now(UTC))
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class.__name__ == "JobCancelled"
    Job.objects.filter(pk=result.id).update(state="discarded", reason="its node was lost")
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class.__name__ == "JobFailed"
    assert result.errors[0].traceback == "its node was lost"


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_as_the_settings_say(use_tz: bool, settings: Any) -> None:
    settings.USE_TZ = use_tz
    result = tasks.second_time.enqueue()
    drained = drain(scheduled=True)
    assert (drained.failed, drained.completed) == (1, 1)
    result.refresh()
    times = (result.enqueued_at, result.started_at, result.last_attempted_at, result.finished_at)
    assert {timezone.is_aware(each) for each in times} == {use_tz}
    assert times == tuple(sorted(times))
    assert abs(timezone.now() - result.finished_at) < timedelta(minutes=1)
    assert Job.objects.filter(finished_at__lte=timezone.now()).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_node_runs_tasks_in_its_loop_in_threads_and_in_processes() -> None:
    results = [tasks.add.enqueue(1), tasks.aadd.enqueue(1), tasks.where.enqueue()]
    results.append(tasks.second_time.enqueue())

    async def work() -> None:
        async with app, app.running({"default": 4}), asyncio.timeout(30):
            while not all(result.is_finished for result in results):
                await asyncio.sleep(0.05)
                for result in results:
                    await result.arefresh()
            await sync_to_async(connections.close_all)()

    asyncio.run(work())
    values = [result.return_value for result in results]
    assert values[:2] == [3, 3]
    assert values[2] != os.getpid()
    assert values[3] == 1
    assert [result.attempts for result in results] == [1, 1, 1, 2]
    assert all(all(result.worker_ids) for result in results)
