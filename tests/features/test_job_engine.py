"""The job engine with templates, killer and expiry that is re-created here, feature by
feature: each test has the name of one of its.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from elihu import (
    Context,
    Elihu,
    IdentifierTaken,
    InvalidContext,
    JobNotFound,
    JobState,
    RunOutcome,
    SchemaOutdated,
    UnknownTask,
)
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import AcknowledgementRefused, JobStarted
from tests.support import QUICK, EventRecorder

SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}


class Shop:
    """An app with a template for each way a job can go, and what its tasks did."""

    def __init__(self, app: Elihu) -> None:
        self.app = app
        self.ran: list[int] = []
        self.gate = asyncio.Event()
        self.contexts: list[Context] = []

        @app.task(name="work", template="work", queue="work", max_attempts=3, backoff=0, timeout=60)
        async def work(number: int) -> None:
            self.ran.append(number)

        @app.task(name="fail", template="fail", queue="work", max_attempts=2, backoff=0)
        async def fail(number: int, *, ctx: Context = Context()) -> None:
            ctx.log.info("attempt %d", ctx.attempt)
            raise ValueError(f"no {number}")

        @app.task(name="wait", template="wait", queue="work", max_attempts=2, backoff=3_600)
        async def wait(number: int, *, ctx: Context = Context()) -> None:
            self.contexts.append(ctx)
            if len(self.contexts) == 1:
                await self.gate.wait()
            self.ran.append(number)

    async def put(
        self, code: str, number: int = 1, identifier: str | None = None, **options: Any
    ) -> int:
        """Enqueue a job and return its id."""
        return (
            await self.app.templates.enqueue(code, {"number": number}, identifier, **options)
        ).id

    async def state(self, job_id: int) -> JobState:
        return (await self.app.jobs.get(job_id)).state

    async def results(self, job_id: int) -> list[RunOutcome | None]:
        return [run.outcome for run in await self.app.jobs.runs(job_id)]


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    app = Elihu(database_url, **QUICK, lifeline={"interval": 0.1}, queues={"work": 10})
    shop = Shop(app)
    await app.migrate()
    await app.templates.sync()
    yield shop
    await app.aclose()


@pytest.fixture
async def events(shop: Shop) -> EventRecorder:
    return EventRecorder(shop.app)


async def test_enqueue_job(shop: Shop) -> None:
    job = await shop.app.templates.enqueue(
        "work", {"number": 7}, "order-7", priority=4, timeout="2m", max_attempts=5
    )
    stored = await shop.app.jobs.get(identifier="order-7")
    assert stored == job
    assert (stored.template, stored.task, stored.queue, stored.args) == (
        "work",
        "work",
        "work",
        {"number": 7},
    )
    assert (stored.priority, stored.max_attempts, stored.state) == (4, 5, JobState.AVAILABLE)
    with pytest.raises(IdentifierTaken):
        await shop.put("work", 8, "order-7")
    assert await shop.app.jobs.count() == 1


async def test_enqueue_job_and_trigger_engine(shop: Shop, events: EventRecorder) -> None:
    """The order of priorities is kept, and a node starts at once."""
    ids = [await shop.put("work", number, priority=9 - number) for number in (1, 2)]
    async with shop.app.running({"work": 1}):
        await events.stored(ids[0], {JobState.COMPLETED})
        woken = await shop.put("work", 3, run="wake")
        await events.stored(woken, {JobState.COMPLETED})
    assert shop.ran == [2, 1, 3]


async def test_enqueue_and_run_job(shop: Shop) -> None:
    """Priorities are bypassed, concurrency limits are not."""
    for number in (1, 2):
        await shop.put("work", number, priority=0)
    urgent = await shop.put("work", 3, run="now")
    assert await shop.app.jobs.position(urgent) == 1
    assert (await shop.app.tick(1)).start.ok == 1
    assert shop.ran == [3]


async def test_json_schema_validates_the_context_before_the_run(shop: Shop) -> None:
    with pytest.raises(InvalidContext) as refused:
        await shop.app.templates.enqueue("work", {"number": "x"})
    assert refused.value.problems == (("/number", "expected integer, got 'x'"),)
    job_id = await shop.put("work", 7)
    await shop.app.templates.update(
        "work", schema=SCHEMA | {"properties": {"number": {"maximum": 5}}}
    )
    assert (await shop.app.tick()).start.error == 1
    (run,) = await shop.app.jobs.runs(job_id)
    assert (run.outcome, await shop.state(job_id)) == (RunOutcome.FAILED, JobState.DISCARDED)
    assert run.error is not None
    assert "/number: expected a number of at most 5, got 7" in run.error
    assert shop.ran == []


async def test_run_job_engine(shop: Shop) -> None:
    """Expire what is dead, start what is due, return counts of what went well and what
    failed.
    """
    lost = await orphan(shop)
    for code in ("work", "work", "fail"):
        await shop.put(code)
    counts = await shop.app.tick()
    assert (counts.expire.ok, counts.expire.error) == (1, 0)
    assert (counts.start.ok, counts.start.error) == (3, 1)
    assert await shop.results(lost) == [RunOutcome.ORPHANED, RunOutcome.COMPLETED]


async def orphan(shop: Shop) -> int:
    """A job that a node fetched which is no more."""
    job_id = await shop.put("work")
    engine = engine_for(shop.app.config, Bus())
    await engine.open()
    node = str(uuid4())
    await engine.register_node(node, "dead", {})
    assert [claim.id for claim in (await engine.exchange(node, "work", 10, [])).claims] == [job_id]
    await engine.deregister_node(node)
    await engine.close()
    return job_id


async def test_batch_size_per_engine_round(shop: Shop) -> None:
    for number in range(12):
        await shop.put("work", number)
    assert (await shop.app.tick()).start.ok == 10
    assert (await shop.app.tick(limit=1)).start.ok == 1
    assert sorted(shop.ran) == list(range(11))


async def test_job_runs(shop: Shop) -> None:
    job_id = await shop.put("fail")
    for _ in range(2):
        await shop.app.tick()
    first, second = await shop.app.jobs.runs(job_id)
    assert [(run.id, run.attempt, run.outcome) for run in (first, second)] == [
        (f"{job_id}.1", 1, RunOutcome.FAILED),
        (f"{job_id}.2", 2, RunOutcome.FAILED),
    ]
    assert first.node != second.node
    assert first.ended_at is not None
    assert first.started_at <= first.ended_at <= second.started_at
    assert second.error == "ValueError: no 1"
    assert second.traceback is not None
    assert "raise ValueError" in second.traceback
    assert second.log is not None
    assert second.log.endswith("INFO attempt 2")
    done = await shop.put("work")
    await shop.app.tick()
    (run,) = await shop.app.jobs.runs(done)
    assert (run.outcome, run.error, run.traceback) == (RunOutcome.COMPLETED, None, None)


async def test_kill_a_job_on_the_node_that_runs_it_and_nothing_elsewhere(
    shop: Shop, events: EventRecorder, database_url: str
) -> None:
    job_id = await shop.put("wait", max_attempts=1)
    async with Elihu(database_url, **QUICK) as elsewhere:
        assert await elsewhere.jobs.kill(job_id) == 0
        async with shop.app.running({"work": 1}), elsewhere.running({"other": 1}):
            await events.count(JobStarted, 1)
            assert await elsewhere.jobs.kill(job_id) == 1
            stored = await events.stored(job_id, {JobState.DISCARDED})
    assert stored.reason == "killed"
    assert await shop.results(job_id) == [RunOutcome.KILLED]
    assert await shop.app.jobs.kill(job_id) == 0


async def test_a_killer_ends_what_ran_past_its_timeout(shop: Shop) -> None:
    job_id = await shop.put("wait", timeout=0.05)
    assert (await shop.app.tick()).start.error == 1
    assert await shop.results(job_id) == [RunOutcome.TIMED_OUT]
    assert await shop.state(job_id) is JobState.RETRYABLE
    await shop.app.templates.update("wait", default_timeout=0.05, default_max_attempts=1)
    shop.contexts.clear()
    last = await shop.put("wait")
    await shop.app.tick()
    assert await shop.state(last) is JobState.DISCARDED
    assert shop.ran == []


async def test_expire_a_job_that_runs_on_no_node(shop: Shop, events: EventRecorder) -> None:
    """By the death of its node, never by its age; and by its deadline, where it has not
    started.
    """
    lost = await orphan(shop)
    long_job = await shop.put("wait", timeout="1h")
    async with shop.app.running({"work": 2}):
        await events.stored(lost, {JobState.COMPLETED})
        await events.count(JobStarted, 2)
        assert (await shop.app.tick(1)).expire.ok == 0
        assert await shop.state(long_job) is JobState.EXECUTING
        shop.gate.set()
        await events.stored(long_job, {JobState.COMPLETED})
    late = await shop.app.task_named("work").using(expires=0.001).aenqueue(number=9)
    assert late.expires_at is not None
    counts = await shop.app.tick()
    expired = await shop.app.jobs.get(late.id)
    assert (counts.expire.ok, expired.state, expired.reason) == (1, JobState.CANCELLED, "expired")
    assert 9 not in shop.ran


async def test_fail_a_job_and_complete_a_job(shop: Shop) -> None:
    """Attempts until there are none left, then it is out of the queue and its history
    stays.
    """
    failing, good = await shop.put("fail"), await shop.put("work")
    await shop.app.tick()
    assert (await shop.state(failing), await shop.state(good)) == (
        JobState.RETRYABLE,
        JobState.COMPLETED,
    )
    await shop.app.tick()
    stored = await shop.app.jobs.get(failing)
    assert (stored.state, stored.attempt, stored.reason) == (
        JobState.DISCARDED,
        2,
        "ValueError: no 1",
    )
    assert (await shop.app.tick()).start.error == 0
    assert len(await shop.app.jobs.runs(failing)) == 2


async def test_stop_job_in_queue(shop: Shop, events: EventRecorder) -> None:
    """The record changes at once; what still runs can no longer end the job."""
    job_id = await shop.put("wait", 5)
    async with shop.app.running({"work": 2}):
        await events.count(JobStarted, 1)
        await shop.app.jobs.stop(job_id)
        stored = await events.stored(job_id, {JobState.COMPLETED})
        assert (stored.attempt, shop.ran) == (1, [5])
        async with asyncio.timeout(20):
            await shop.contexts[0].wait_cancelled()
        shop.gate.set()
        await events.count(AcknowledgementRefused, 1)
    assert await shop.results(job_id) == [RunOutcome.STOPPED, RunOutcome.COMPLETED]


async def test_remove_job_from_queue(shop: Shop) -> None:
    job_id = await shop.put("work", 1, "mine")
    assert await shop.app.jobs.delete(job_id) == 1
    with pytest.raises(JobNotFound):
        await shop.app.jobs.get(job_id)
    assert (await shop.app.tick()).start.ok == 0
    assert await shop.put("work", 2, "mine") > job_id


async def test_retry_count_counts_and_position_of_an_identifier(shop: Shop) -> None:
    failing = await shop.put("fail", identifier="bad")
    await shop.app.tick()
    for number in (1, 2):
        await shop.put("work", number, f"order-{number}")
    assert (await shop.app.jobs.get(failing)).attempt == 1
    assert await shop.app.jobs.counts() == {"work": {"available": 2, "retryable": 1}}
    assert await shop.app.jobs.position(identifier="order-2") == 2
    assert await shop.app.jobs.position(identifier="bad") is None
    assert await shop.app.jobs.count(queue="work", state="available") == 2
    assert await shop.app.jobs.count(template="fail") == 1
    assert len(await shop.app.jobs.runs(failing)) == 1


async def test_templates(shop: Shop) -> None:
    """Name, unique code, active, display order, module, default timeout, default
    attempts, schema; active, inactive or all, in pages.
    """
    new = await shop.app.templates.create(
        "mine", "My own", "work", SCHEMA, 90, 2, active=False, display_order=-1
    )
    assert (new.code, new.name, new.task, new.schema) == ("mine", "My own", "work", SCHEMA)
    assert (new.default_timeout, new.default_max_attempts, new.active, new.display_order) == (
        90,
        2,
        False,
        -1,
    )
    with pytest.raises(UnknownTask):
        await shop.app.templates.create("bad", "Bad", "nothing", {})

    async def codes(active: bool | None) -> list[str]:
        found: list[str] = []
        after = None
        while True:
            page = await shop.app.templates.list(active, limit=2, after=after)
            found += [template.code for template in page.items]
            if (after := page.next) is None:
                return found

    assert await codes(None) == ["mine", "fail", "wait", "work"]
    assert await codes(active=True) == ["fail", "wait", "work"]
    assert await codes(active=False) == ["mine"]


async def test_priority_and_resource_availability_decide_the_order(shop: Shop) -> None:
    shop.app.override(queues={"work": 1})
    for number, priority in enumerate((5, 0, 9, 0)):
        await shop.put("work", number, priority=priority)
    assert (await shop.app.tick()).start.ok == 4
    assert shop.ran == [1, 3, 0, 2]
    await shop.put("work", 7)
    shop.app.override(queues={"elsewhere": 1})
    assert (await shop.app.tick()).start.ok == 0


async def test_installation(database_url: str) -> None:
    """``migrate`` makes what is needed, and again only what is new."""
    async with Elihu(database_url) as app:
        with pytest.raises(SchemaOutdated, match="elihu migrate"):
            await app.templates.list()
        assert await app.migrate() != []
        assert await app.migrate() == []
        assert (await app.templates.list()).items == []
