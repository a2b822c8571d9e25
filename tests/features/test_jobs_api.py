"""``app.jobs``: every verb, from every state, alone and in bulk, while nodes work."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    Context,
    Elihu,
    InvalidArguments,
    InvalidOption,
    InvalidTransition,
    Job,
    JobNotFound,
    JobState,
    RunOutcome,
    Snooze,
    Task,
    Unique,
    UniqueConflict,
)
from elihu.telemetry.events import JobStarted
from tests.support import BUSY_MACHINE, QUICK, EventRecorder, Stopwatch

SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE, COMPLETED, DISCARDED, CANCELLED = JobState


@pytest.fixture
def t(app: Elihu) -> Task[..., Any]:
    @app.task(name="t")
    async def t(number: int = 0, text: str = ""): ...

    return t


class Everywhere:
    """One job in each state, the executing one held there."""

    def __init__(self, jobs: dict[JobState, Job], let_go: asyncio.Event) -> None:
        self.jobs = jobs
        self.let_go = let_go

    def __getitem__(self, state: JobState) -> int:
        return self.jobs[state].id


@pytest.fixture
async def everywhere(app: Elihu, seen: EventRecorder) -> AsyncIterator[Everywhere]:
    let_go = asyncio.Event()

    @app.task(name="work", max_attempts=2)
    async def work(what: str, *, ctx: Context = Context()):
        match what:
            case "executing":
                await let_go.wait()
            case "retryable":
                raise ValueError("x")
            case "cancelled":
                await app.jobs.cancel(ctx.job.id)
                await asyncio.sleep(20)

    jobs = {
        SUSPENDED: await work.using(hold=True).aenqueue("suspended"),
        SCHEDULED: await work.using(delay=600).aenqueue("scheduled"),
        AVAILABLE: await work.using(queue="unserved").aenqueue("available"),
        EXECUTING: await work.aenqueue("executing"),
        RETRYABLE: await work.aenqueue("retryable"),
        COMPLETED: await work.aenqueue("completed"),
        DISCARDED: await work.using(max_attempts=1).aenqueue("retryable"),
        CANCELLED: await work.aenqueue("cancelled"),
    }
    async with app.running():
        for state, job in jobs.items():
            await seen.stored(job.id, {state})
        yield Everywhere(jobs, let_go)
        let_go.set()


async def states(app: Elihu, everywhere: Everywhere) -> dict[JobState, JobState]:
    """State at first → state now, where they differ."""
    now = {state: (await app.jobs.get(job.id)).state for state, job in everywhere.jobs.items()}
    return {before: after for before, after in now.items() if before is not after}


async def test_cancel_from_every_state(app: Elihu, seen: EventRecorder, everywhere: Everywhere):
    assert await app.jobs.cancel(*(job.id for job in everywhere.jobs.values())) == 5
    await seen.stored(everywhere[EXECUTING], {CANCELLED})
    assert await states(app, everywhere) == dict.fromkeys(
        (SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE), CANCELLED
    )
    for state in (SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE):
        job = await app.jobs.get(everywhere[state])
        assert (job.reason, job.finished_at is not None) == ("cancelled", True), state
    assert await app.jobs.cancel(*(job.id for job in everywhere.jobs.values())) == 0
    assert [run.outcome for run in await app.jobs.runs(everywhere[EXECUTING])] == [
        RunOutcome.CANCELLED
    ]
    assert await app.jobs.runs(everywhere[AVAILABLE]) == []
    assert [run.outcome for run in await app.jobs.runs(everywhere[RETRYABLE])] == [
        RunOutcome.FAILED
    ]


async def test_hold_and_release_from_every_state(
    app: Elihu, seen: EventRecorder, everywhere: Everywhere
):
    ids = [job.id for job in everywhere.jobs.values()]
    assert await app.jobs.hold(*ids) == 3
    assert await states(app, everywhere) == dict.fromkeys(
        (SCHEDULED, AVAILABLE, RETRYABLE), SUSPENDED
    )
    assert await app.jobs.hold(*ids) == 0
    assert await app.jobs.release(*ids) == 4
    changed = await states(app, everywhere)
    assert changed.pop(SUSPENDED) in {AVAILABLE, EXECUTING, COMPLETED}
    assert changed == {RETRYABLE: SCHEDULED}
    await seen.stored(everywhere[SUSPENDED], {COMPLETED})
    assert await app.jobs.release(*ids) == 0


async def test_retry_from_every_state(app: Elihu, seen: EventRecorder, everywhere: Everywhere):
    ids = [job.id for job in everywhere.jobs.values()]
    await app.jobs.update(everywhere[SUSPENDED], queue="unserved")
    before = {job_id: await app.jobs.get(job_id) for job_id in ids}
    assert await app.jobs.retry(*ids) == 6
    ran = {
        SCHEDULED: COMPLETED,
        RETRYABLE: DISCARDED,
        DISCARDED: DISCARDED,
        CANCELLED: CANCELLED,
        COMPLETED: COMPLETED,
    }
    attempts = {SCHEDULED: 1, RETRYABLE: 2, DISCARDED: 2, CANCELLED: 2, COMPLETED: 2}
    for state, end in ran.items():
        async with asyncio.timeout(20):
            while (job := await app.jobs.get(everywhere[state])).attempt != attempts[
                state
            ] or job.state is not end:
                await seen.more()
        assert job.max_attempts == max(before[job.id].max_attempts, attempts[state]), state
        assert len(await app.jobs.runs(job.id)) == attempts[state]
    suspended = await app.jobs.get(everywhere[SUSPENDED])
    assert (suspended.state, suspended.attempt) == (AVAILABLE, 0)
    assert (await app.jobs.get(everywhere[EXECUTING])).state is EXECUTING
    assert [run.outcome for run in await app.jobs.runs(everywhere[COMPLETED])] == [
        RunOutcome.COMPLETED
    ] * 2


async def test_delete_from_every_state(app: Elihu, everywhere: Everywhere):
    ids = [job.id for job in everywhere.jobs.values()]
    assert await app.jobs.delete(*ids) == 7
    for state, job in everywhere.jobs.items():
        if state is EXECUTING:
            assert (await app.jobs.get(job.id)).state is EXECUTING
            continue
        for verb in (app.jobs.get, app.jobs.runs, app.jobs.position):
            with pytest.raises(JobNotFound, match=f"got {job.id}"):
                await verb(job.id)
    assert await app.jobs.delete(*ids) == 0


async def test_update_and_position_from_every_state(app: Elihu, everywhere: Everywhere):
    for state, job in everywhere.jobs.items():
        assert await app.jobs.position(job.id) == (1 if state is AVAILABLE else None), state
        if state in {SUSPENDED, SCHEDULED, AVAILABLE, RETRYABLE}:
            changed = await app.jobs.update(job.id, priority=5)
            assert (changed.priority, changed.state) == (5, state)
            assert await app.jobs.get(job.id) == changed
        else:
            with pytest.raises(
                InvalidTransition,
                match=f"update: expected a.* job .*, got job {job.id}, which is {state}",
            ):
                await app.jobs.update(job.id, priority=5)
            assert (await app.jobs.get(job.id)).priority == 0


async def test_an_unknown_id(app: Elihu, t: Task[..., Any]):
    for job_id in (77, 2**62, 2**63 - 1):
        for verb in (app.jobs.get, app.jobs.runs, app.jobs.position, app.jobs.update):
            with pytest.raises(
                JobNotFound, match=f"expected the id of a stored job, got {job_id}"
            ) as caught:
                await verb(job_id)
            assert caught.value.job_id == job_id
        with pytest.raises(JobNotFound):
            await app.jobs.update(job_id, args={"number": 1})
        for bulk in bulk_verbs(app):
            assert await bulk(job_id) == 0
    assert (await app.jobs.list(after=2**63 - 1)).items == []


async def test_wrong_ids_and_filters(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue()
    for wrong in ("1", 1.0, True, None, 0, -1, 2**63, [1], float("nan")):
        for verb in (
            app.jobs.get,
            app.jobs.runs,
            app.jobs.position,
            app.jobs.update,
            *bulk_verbs(app),
        ):
            with pytest.raises(InvalidOption, match="expected"):
                await verb(wrong)  # type: ignore[operator]
    filters: list[tuple[dict[str, Any], str]] = [
        ({}, "expected ids or a filter .*got none: every job would match"),
        ({"queue": None}, "expected ids or a filter"),
        ({"colour": "red"}, "colour: expected a filter among ids, state, queue"),
        ({"state": "done"}, "state: expected one of suspended, .* got 'done'"),
        ({"state": ["available", "done"]}, "state: expected one of"),
        ({"state": 5}, "state: expected one of"),
        ({"queue": 5}, "queue: expected a text"),
        ({"task": [b"t"]}, "task: expected a text"),
        ({"task": 1.5}, "task: expected one value or several"),
        ({"tags": [""]}, "tags: expected a text"),
        ({"ids": ["1"]}, "id: expected a whole number"),
        ({"ids": "1"}, "id: expected a whole number"),
    ]
    for given, expected in filters:
        for bulk in bulk_verbs(app):
            with pytest.raises(InvalidOption, match=expected):
                await bulk(**given)
        if given.get("queue", 1) is not None and given:
            for look in (app.jobs.list, app.jobs.count):
                with pytest.raises(InvalidOption, match=expected):
                    await look(**given)
    with pytest.raises(InvalidOption, match="expected ids as arguments or as ids="):
        await app.jobs.cancel(1, ids=[2])
    for limit in (0, -1, 1_001, "5", True, 1.5):
        with pytest.raises(InvalidOption, match="limit: expected a whole number from 1 to 1,000"):
            await app.jobs.list(limit=limit)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="id: expected"):
        await app.jobs.list(after="5")  # type: ignore[arg-type]
    assert await app.jobs.get(job.id) == job


def bulk_verbs(app: Elihu) -> list[Callable[..., Awaitable[int]]]:
    return [
        app.jobs.cancel,
        app.jobs.kill,
        app.jobs.retry,
        app.jobs.delete,
        app.jobs.hold,
        app.jobs.release,
    ]


async def test_text_that_no_database_holds_matches_nothing_or_is_refused(
    app: Elihu, t: Task[..., Any]
):
    await t.aenqueue()
    for text in ("a\0b", "\ud800", "x" * 100_000, "", "'; DROP TABLE job; --"):
        for name in ("queue", "task", "tags", "node"):
            for verb in (app.jobs.count, app.jobs.cancel):
                with suppress(InvalidOption):
                    assert await verb(**{name: text}) == 0
    assert await app.jobs.counts() == {"default": {"available": 1}}


async def test_no_ids_match_nothing(app: Elihu, t: Task[..., Any]):
    await t.aenqueue()
    for bulk in bulk_verbs(app):
        assert await bulk(ids=[]) == 0
        assert await bulk(ids=(), queue="default") == 0
        assert await bulk(queue=[]) == 0
    assert (await app.jobs.list(ids=[])).items == []
    assert await app.jobs.count(state=[]) == 0
    assert await app.jobs.count() == 1


async def test_filters(app: Elihu, t: Task[..., Any]):
    @app.task(name="u", tags=["red"])
    async def u(): ...

    a = await t.using(queue="mail", tags=["Red", "blue"]).aenqueue()
    b = await t.using(hold=True, tags=["blue"]).aenqueue()
    c = await u.using(queue="mail").aenqueue()
    d = await u.using(delay=60).aenqueue()

    async def found(**filters: Any) -> list[int]:
        page = await app.jobs.list(**filters)
        assert await app.jobs.count(**filters) == len(page.items)
        return [job.id for job in page.items]

    assert await found() == [d.id, c.id, b.id, a.id]
    assert await found(queue="mail") == [c.id, a.id]
    assert await found(queue=["mail", "default"]) == [d.id, c.id, b.id, a.id]
    assert await found(task="t") == [b.id, a.id]
    assert await found(task=("t", "u"), queue="default") == [d.id, b.id]
    assert await found(tags="RED") == [d.id, c.id, a.id]
    assert await found(tags=[" blue", "green"]) == [b.id, a.id]
    assert await found(state="suspended") == [b.id]
    assert await found(state=[SCHEDULED, "available"]) == [d.id, c.id, a.id]
    assert await found(ids=[a.id, 99, b.id, a.id]) == [b.id, a.id]
    assert await app.jobs.count(ids=(n for n in (c.id, 99))) == 1
    assert await found(ids=b.id, state="available") == []
    assert await found(node="nobody") == []
    assert await found(node="d9a2f6b0-0000-0000-0000-000000000000") == []
    assert await app.jobs.counts() == {
        "mail": {"available": 2},
        "default": {"suspended": 1, "scheduled": 1},
    }
    assert await app.jobs.cancel(tags="red", queue="mail") == 2
    assert await app.jobs.delete(a.id, state="available") == 0
    assert await app.jobs.delete(a.id, b.id, state="cancelled") == 1


async def test_pages(app: Elihu, t: Task[..., Any]):
    done = await app.enqueue_many(
        (t.using(tags=["odd"] if n % 2 else ["even"]).build(n) for n in range(25)), ids=True
    )
    assert done.ids is not None
    newest_first = done.ids[::-1]
    for size in (1, 7, 24, 25, 26):
        pages, after = [], None
        while True:
            page = await app.jobs.list(after=after, limit=size)
            pages.append([job.id for job in page.items])
            if (after := page.next) is None:
                break
            await t.aenqueue(-1)
        assert list(itertools.chain(*pages)) == newest_first, size
        assert all(len(ids) == size for ids in pages[:-1])
        await app.jobs.delete(
            ids=[
                job.id
                for job in (await app.jobs.list(limit=1_000)).items
                if job.id > newest_first[0]
            ]
        )
    odd = await app.jobs.list(tags="odd", limit=5)
    assert [job.args["number"] for job in odd.items] == [23, 21, 19, 17, 15]
    assert odd.next == odd.items[-1].id


async def test_verbs_over_thousands(database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)
    await app.migrate()

    @app.task(name="t")
    async def t(number: int): ...

    done = await app.enqueue_many((t.build(number) for number in range(2_700)), ids=True)
    assert done.ids is not None
    other = await t.using(queue="other").aenqueue(0)
    assert await app.jobs.hold(queue="default") == 2_700
    assert await app.jobs.counts() == {"default": {"suspended": 2_700}, "other": {"available": 1}}
    assert await app.jobs.release(ids=done.ids) == 2_700
    assert await app.jobs.cancel(task="t", queue="default") == 2_700
    assert await app.jobs.retry(*done.ids) == 2_700
    assert await app.jobs.position(done.ids[-1]) == 2_700
    assert await app.jobs.position(other.id) == 1
    assert await app.jobs.delete(state=list(JobState), queue="default") == 2_700
    assert [job.id for job in (await app.jobs.list()).items] == [other.id]
    await app.aclose()


async def test_position_follows_the_order_of_fetch(app: Elihu, t: Task[..., Any]):
    now = datetime.now(UTC)
    jobs = [
        await t.using(priority=1).aenqueue(),
        await t.aenqueue(),
        await t.aenqueue(),
        await t.using(run_at=now - timedelta(hours=1)).aenqueue(),
        await t.using(queue="other").aenqueue(),
        await t.using(delay=60).aenqueue(),
    ]
    assert [await app.jobs.position(job.id) for job in jobs] == [4, 2, 3, 1, 1, None]
    await app.jobs.update(jobs[0].id, priority=0, run_at=now - timedelta(hours=2))
    assert [await app.jobs.position(job.id) for job in jobs] == [1, 3, 4, 2, 1, None]


async def test_update(app: Elihu, seen: EventRecorder, t: Task[..., Any]):
    far = datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
    job = await t.using(tags=["a"], meta={"a": 1}).aenqueue(1, "x")
    changed = await app.jobs.update(
        job.id,
        args={"number": "5"},
        queue="mail",
        priority=9,
        run_at=far,
        max_attempts=3,
        tags=[" B "],
        meta={"b": []},
    )
    assert await app.jobs.get(job.id) == changed
    assert (changed.args, changed.queue, changed.priority, changed.max_attempts) == (
        {"number": 5, "text": ""},
        "mail",
        9,
        3,
    )
    assert (changed.tags, changed.meta, changed.scheduled_at, changed.state) == (
        ("b",),
        {"b": []},
        far,
        SCHEDULED,
    )
    changed = await app.jobs.update(
        job.id, run_at=datetime.now(UTC) - timedelta(seconds=1), tags=[], meta={}, args={}
    )
    assert (changed.state, changed.tags, changed.meta, changed.args, changed.queue) == (
        AVAILABLE,
        (),
        {},
        {"number": 0, "text": ""},
        "mail",
    )
    assert await app.jobs.update(job.id) == changed
    held = await t.using(hold=True).aenqueue()
    assert (await app.jobs.update(held.id, run_at=far)).state is SUSPENDED
    assert await app.jobs.release(held.id) == 1
    assert (await app.jobs.get(held.id)).state is SCHEDULED


async def test_update_refuses_what_enqueue_refuses(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue(1)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"args": {"number": "many"}}, InvalidArguments, "t: number: expected a valid integer"),
        ({"args": {"nmber": 1}}, InvalidArguments, "nmber"),
        ({"args": {"text": "a\0"}}, InvalidArguments, "args: text: expected text without NUL"),
        (
            {"args": {"text": float("nan")}},
            InvalidArguments,
            "args: text: expected a finite number",
        ),
        ({"args": [1]}, InvalidArguments, "args: expected a dictionary"),
        ({"args": "x"}, InvalidArguments, "args: expected a dictionary"),
        ({"queue": ""}, InvalidOption, "queue: expected"),
        ({"priority": 10}, InvalidOption, "priority: expected"),
        (
            {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001
            InvalidOption,
            "run_at: expected a datetime with a time zone",
        ),
        ({"max_attempts": 0}, InvalidOption, "max_attempts: expected"),
        ({"tags": "vip"}, InvalidOption, "tags: expected"),
        ({"meta": {"a": float("nan")}}, InvalidOption, "meta: a: expected a finite number"),
    ]
    for changes, error, expected in wrong:
        with pytest.raises(error, match=expected):
            await app.jobs.update(job.id, **changes)
    with pytest.raises(TypeError):
        await app.jobs.update(job.id, colour="red")  # type: ignore[call-arg]
    assert await app.jobs.get(job.id) == job


async def test_updated_arguments_are_those_that_run(app: Elihu, seen: EventRecorder):
    got: list[Any] = []

    @app.task(name="rest")
    async def rest(first: int, /, *others: int, **named: int):
        got.append((first, others, named))

    job = await rest.using(hold=True).aenqueue(1, 2, 3, x=4)
    same = await app.jobs.update(job.id, args=job.args)
    assert same.args == job.args
    await app.jobs.release(job.id)
    async with app.running():
        await seen.ended(job.id)
    assert got == [(1, (2, 3), {"x": 4})]


async def test_a_retry_meets_a_newer_twin(app: Elihu, t: Task[..., Any]):
    unique = t.using(unique=Unique())
    old = await unique.aenqueue(1)
    await app.jobs.cancel(old.id)
    new = await unique.aenqueue(1)
    other = await t.using(hold=True).aenqueue(2)
    assert not new.conflict
    with pytest.raises(UniqueConflict, match=f"{old.id}.*{new.id}") as caught:
        await app.jobs.retry(old.id, other.id)
    assert (caught.value.job_id, caught.value.holder) == (old.id, new.id)
    assert [(await app.jobs.get(job.id)).state for job in (old, new, other)] == [
        CANCELLED,
        AVAILABLE,
        SUSPENDED,
    ]
    await app.jobs.cancel(new.id)
    assert await app.jobs.retry(old.id) == 1
    with pytest.raises(UniqueConflict):
        await app.jobs.retry(new.id)


async def test_two_twins_are_not_retried_together(app: Elihu, t: Task[..., Any]):
    unique = t.using(unique=Unique())
    jobs = []
    for _ in range(2):
        jobs.append(await unique.aenqueue(1))
        await app.jobs.cancel(jobs[-1].id)
    with pytest.raises(UniqueConflict):
        await app.jobs.retry(*(job.id for job in jobs))
    assert await app.jobs.count(state="cancelled") == 2


async def test_a_retry_starts_afresh(app: Elihu, seen: EventRecorder):
    attempts: list[int] = []

    @app.task(name="t", max_attempts=1, record=True)
    async def t(*, ctx: Context = Context()):
        attempts.append(ctx.attempt)
        if len(attempts) == 2:
            return "well"
        raise ValueError("x")

    job = await t.aenqueue()
    async with app.running():
        discarded = await seen.stored(job.id, {DISCARDED})
        assert discarded.reason == "ValueError: x"
        assert await app.jobs.retry(job.id) == 1
        completed = await seen.stored(job.id, {COMPLETED})
        assert (completed.attempt, completed.max_attempts, completed.reason, completed.result) == (
            2,
            2,
            None,
            "well",
        )
        await app.jobs.retry(job.id)
        again = await seen.stored(job.id, {DISCARDED})
    assert (again.attempt, again.max_attempts, again.result) == (3, 3, None)
    assert attempts == [1, 2, 3]
    runs = await app.jobs.runs(job.id)
    assert [(run.claim, run.attempt, run.outcome) for run in runs] == [
        (1, 1, RunOutcome.FAILED),
        (2, 2, RunOutcome.COMPLETED),
        (3, 3, RunOutcome.FAILED),
    ]
    assert all(run.ended_at and run.started_at <= run.ended_at for run in runs)


async def test_a_running_attempt_is_among_the_runs(app: Elihu, seen: EventRecorder):
    let_go = asyncio.Event()

    @app.task(name="t")
    async def t():
        await let_go.wait()

    job = await t.aenqueue()
    async with app.running() as node:
        await seen.count(JobStarted, 1)
        (run,) = await app.jobs.runs(job.id)
        assert (run.id, run.attempt, run.outcome, run.ended_at, run.node) == (
            f"{job.id}.1",
            1,
            None,
            None,
            node.id,
        )
        assert [each.id for each in (await app.jobs.list(node=node.id)).items] == [job.id]
        (row,) = await app.nodes.list()
        assert (row.id, row.running, row.leader) == (node.id, 1, True)
        let_go.set()


async def test_a_wish_to_cancel_outlives_a_failure_and_a_snooze(app: Elihu, seen: EventRecorder):
    """The wish is stored while the attempt is about to end by itself: whatever comes
    first, the job is not tried again.
    """
    ends = {"fails": ValueError("x"), "snoozes": Snooze(0)}
    intended = threading.Event()
    began = threading.Semaphore(0)

    @app.task(name="t", backoff=0)
    def t(what: str):
        began.release()
        intended.wait(20)
        raise ends[what]

    jobs = [await t.aenqueue(what) for what in ends]
    async with app.running():
        for _ in jobs:
            assert await asyncio.to_thread(began.acquire, timeout=20)
        assert await app.jobs.cancel(*(job.id for job in jobs)) == 2
        intended.set()
        stored = [await seen.stored(job.id, {CANCELLED}) for job in jobs]
    assert [job.attempt for job in stored] in ([1, 1], [1, 0])
    assert all(job.finished_at for job in stored)
    assert [len(await app.jobs.runs(job.id)) for job in jobs] == [1, 1]


async def test_cancel_racing_a_failure(app: Elihu, seen: EventRecorder):
    for turn in range(5):
        gate = asyncio.Event()

        async def fails(gate: asyncio.Event = gate):
            await gate.wait()
            raise ValueError("x")

        @app.task(name=f"t{turn}", backoff=0)
        async def t():
            await fails()

        job = await t.aenqueue()
        async with app.running():
            await seen.count(JobStarted, turn + 1)
            gate.set()
            changed = await app.jobs.cancel(job.id)
            if changed:
                stored = await seen.stored(job.id, {CANCELLED})
                assert stored.finished_at


async def test_an_async_task_may_end_in_its_own_way_when_cancelled(app: Elihu, seen: EventRecorder):
    cleaned: list[str] = []

    @app.task(name="t")
    async def t(how: str):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            cleaned.append(how)
            match how:
                case "raises":
                    raise ValueError("while cleaning up") from None
                case "snoozes":
                    return Snooze(0)
                case "cancels":
                    raise
                case "returns":
                    return None

    jobs = {how: await t.aenqueue(how) for how in ("raises", "snoozes", "cancels", "returns")}
    async with app.running():
        await seen.count(JobStarted, 4)
        assert await app.jobs.cancel(*(job.id for job in jobs.values())) == 4
        for how, job in jobs.items():
            assert (await seen.stored(job.id, {CANCELLED})).finished_at, how
    assert sorted(cleaned) == ["cancels", "raises", "returns", "snoozes"]


@pytest.fixture
async def patient(database_url: str) -> AsyncIterator[Elihu]:
    """An app whose nodes find work by announcements or not at all."""
    app = Elihu(
        database_url,
        **QUICK
        | BUSY_MACHINE
        | {"poll": 60.0, "poll_fallback": 60.0, "heartbeat": 1.0, "stager": {"interval": 60.0}},
    )
    await app.migrate()
    yield app
    await app.aclose()


async def test_what_becomes_available_starts_at_once_on_an_idle_node(patient: Elihu):
    app, seen = patient, EventRecorder(patient)

    @app.task(name="t", max_attempts=1)
    async def t(fails: bool = False):
        if fails:
            raise ValueError("x")

    held = await t.using(hold=True).aenqueue()
    scheduled = await t.using(delay=600).aenqueue()
    updated = await t.using(delay=600).aenqueue()
    moved = await t.using(queue="unserved").aenqueue()
    async with app.running():
        failing = await t.aenqueue(fails=True)
        await seen.stored(failing.id, {DISCARDED})
        watch = Stopwatch()
        for act, job, end in (
            (t.aenqueue, None, COMPLETED),
            (lambda: app.jobs.release(held.id), held, COMPLETED),
            (lambda: app.jobs.retry(scheduled.id), scheduled, COMPLETED),
            (
                lambda: app.jobs.update(
                    updated.id, run_at=datetime.now(UTC) - timedelta(seconds=1)
                ),
                updated,
                COMPLETED,
            ),
            (lambda: app.jobs.update(moved.id, queue="default"), moved, COMPLETED),
        ):
            done = await act()
            target = job or done
            assert isinstance(target, Job)
            await seen.stored(target.id, {end}, within=5)
        await app.jobs.retry(failing.id)
        await seen.ended(failing.id, 2)
        await app.enqueue_many([t.build(), t.build()])
        await seen.until(lambda: len([e for e in seen.of(JobStarted) if e.task == "t"]) >= 9)
        assert watch.seconds < 10


async def test_what_another_app_makes_available_starts_at_once(patient: Elihu, database_url: str):
    seen = EventRecorder(patient)

    async def fn(): ...

    t: Task[..., Any] = patient.task(fn, name="t")
    held = await t.using(hold=True).aenqueue()
    done = await t.using(hold=True).aenqueue()
    await patient.jobs.cancel(done.id)
    other = Elihu(database_url, **QUICK | BUSY_MACHINE)
    theirs: Task[..., Any] = other.task(fn, name="t")
    async with patient.running(), other:
        watch = Stopwatch()
        for job_id in ((await theirs.aenqueue()).id, held.id, done.id):
            if job_id == held.id:
                await other.jobs.release(job_id)
            if job_id == done.id:
                await other.jobs.retry(job_id)
            await seen.ended(job_id)
        assert watch.seconds < 5


async def test_a_cancel_by_another_app_is_heard_at_once(patient: Elihu, database_url: str):
    seen = EventRecorder(patient)

    @patient.task(name="t")
    async def t():
        await asyncio.sleep(60)

    job = await t.aenqueue()
    other = Elihu(database_url, **QUICK | BUSY_MACHINE)
    async with patient.running(), other:
        await seen.count(JobStarted, 1)
        watch = Stopwatch()
        assert await other.jobs.cancel(job.id) == 1
        await seen.ended(job.id)
        assert watch.seconds < 3
    assert (await patient.jobs.get(job.id)).state is CANCELLED


async def test_the_verbs_from_synchronous_code(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue()

    def work() -> list[Any]:
        return [
            app.run(app.jobs.hold(job.id)),
            app.run(app.jobs.get(job.id)).state,
            app.run(app.jobs.counts()),
            app.run(app.jobs.release(job.id)),
            app.run(app.nodes.list()),
        ]

    assert await asyncio.to_thread(work) == [1, SUSPENDED, {"default": {"suspended": 1}}, 1, []]
