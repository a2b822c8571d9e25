"""Connections of Django's around tasks, on a node of this process."""

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from elihu.contrib.django import app
from elihu.contrib.django.models import Job
from tests.django.project.shop import tasks

JOBS = 20
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

pytestmark = pytest.mark.django_db(transaction=True)


async def completed(task: Any, number: int = JOBS) -> int:
    """Enqueue jobs of a task, and count those that complete."""
    await app.enqueue_many(task.build() for _ in range(number))
    until = time.monotonic() + 20
    while time.monotonic() < until:
        jobs = await app.jobs.list(task=task.name, limit=number)
        if all(job.finished_at for job in jobs.items):
            return sum(job.state == "completed" for job in jobs.items)
        await asyncio.sleep(0.05)
    raise AssertionError("expected all jobs to end")


@pytest.fixture
def max_age(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """0: Django closes connections after each task. None: it keeps them."""
    monkeypatch.setattr("elihu.contrib.django.connections.in_test", lambda: False)
    connection.settings_dict["CONN_MAX_AGE"] = request.param
    yield
    connection.settings_dict["CONN_MAX_AGE"] = 0
    connection.close()  # it was cut too
    gc.collect()  # kept connections of threads that ended with their node


def queues_for(task: Any) -> dict[str, int]:
    """One child process serves all jobs, since each takes its time to start."""
    return {"default": 1 if task.run_in == "process" else 10}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # ended threads
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server to cut")
@pytest.mark.parametrize(
    ("task", "max_age"),
    [
        (tasks.ask, 0),
        (tasks.ask, None),
        (tasks.aask, 0),
        (tasks.aask, None),
        (tasks.pask, None),
        (tasks.apask, None),
    ],
    indirect=["max_age"],
)
def test_after_lost_connections_all_jobs_succeed(task: Any, max_age: None) -> None:
    async def work() -> list[int]:
        async with app, app.running(queues_for(task)):
            before = await completed(task)
            await sync_to_async(cut)()
            after = await completed(task)
            await sync_to_async(connections.close_all)()
            return [before, after]

    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute(CUT)

    assert asyncio.run(work()) == [JOBS, JOBS]


@pytest.mark.skipif(connection.vendor == "postgresql", reason="the test above shows it")
@pytest.mark.parametrize("task", [tasks.ask, tasks.aask, tasks.pask, tasks.apask], ids=repr)
def test_a_task_uses_the_orm_wherever_it_runs(task: Any) -> None:
    async def work() -> int:
        async with app, app.running(queues_for(task)):
            return await completed(task, 3)

    assert asyncio.run(work()) == 3


def test_a_task_enqueues_in_the_loop_of_a_node() -> None:
    async def work() -> None:
        async with app, app.running():
            await tasks.chain.aenqueue(3)
            until = time.monotonic() + 20
            while time.monotonic() < until and await app.jobs.count(state="completed") < 4:
                await asyncio.sleep(0.05)

    asyncio.run(work())
    assert Job.objects.filter(state="completed").count() == 4
