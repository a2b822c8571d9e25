"""``@app.around``, and what lives in the context of a process: fresh for each job."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from elihu import Context, Elihu, InvalidOption, JobState, Task
from tests.features import surrounded_app as s
from tests.support import BUSY_MACHINE, QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
async def around(database_url: str) -> AsyncIterator[Elihu]:
    s.app.override(database_url=database_url, **QUICK | BUSY_MACHINE)
    await s.app.migrate()
    s.spans.clear()
    yield s.app
    await s.app.aclose()


@pytest.mark.parametrize("task", [s.in_thread, s.in_loop, s.in_process, s.in_aprocess])
async def test_context_managers_are_entered_where_the_function_runs(
    around: Elihu, task: Task[..., Any]
):
    async with around.running({"default": 1}):
        for _ in range(2):
            relay = await task.asubmit()
            own, spans = await relay.aresult(30)
            assert own
            assert spans[-1] == f"outer {task.name} 1"


async def test_context_managers_see_the_error_and_are_left(around: Elihu):
    async with around.running():
        with pytest.raises(ValueError, match="a reason"):
            await (await s.fails.asubmit()).aresult(20)
    assert s.spans == ["outer s.fails 1", "saw a reason", "left"]


async def test_an_error_of_a_context_manager_fails_the_attempt(app: Elihu, events: EventRecorder):
    ran = []

    @app.around
    @contextmanager
    def refuses(ctx: Context) -> Iterator[None]:
        if ctx.attempt:
            raise LookupError("no connection")
        yield

    @app.task(name="t", max_attempts=1)
    def t() -> None:
        ran.append(1)

    job = await t.aenqueue()
    async with app.running():
        await events.stored(job.id, {JobState.DISCARDED})
    assert (await app.jobs.runs(job.id))[0].error == "LookupError: no connection"
    assert not ran


async def test_a_direct_call_is_not_surrounded():
    s.spans.clear()
    with pytest.raises(ValueError, match="a reason"):
        await s.fails()
    assert s.spans == []


def test_async_context_managers_are_refused(app: Elihu):
    @asynccontextmanager
    async def later(ctx: Context) -> AsyncIterator[None]:
        yield

    async def function(ctx: Context) -> None: ...

    for wrong in (later, function, None):
        with pytest.raises(InvalidOption, match="around: expected a function that returns"):
            app.around(wrong)  # type: ignore[type-var]
    assert app.arounds == ()


async def test_a_child_process_begins_fresh_for_each_job(around: Elihu):
    tasks = (s.changes, s.changes, s.achanges, s.achanges, s.changes)
    async with around.running({"default": 1}):
        found = [await (await task.asubmit()).aresult(30) for task in tasks]
    tenants, precisions, languages = map(set, zip(*found, strict=True))
    assert tenants == {"of the lifespan"}
    assert precisions == {20}
    assert len(languages) == 1


async def test_the_precision_of_a_node_is_fresh_for_each_job(around: Elihu):
    tasks = (s.precise, s.aprecise, s.precise, s.aprecise)
    async with around.running({"default": 1}):
        found = [await (await task.asubmit()).aresult(20) for task in tasks]
    assert found == [20] * 4
