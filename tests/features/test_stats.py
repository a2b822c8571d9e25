"""``app.jobs.summaries`` and ``app.stats``: bounded reads for people."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import Elihu, InvalidOption, JobState, NewJob, Task
from elihu.engines.protocol import reads
from elihu.telemetry.events import JobStopped
from tests.support import EventRecorder


async def ids(app: Elihu, limit: int = 2, **filters: Any) -> list[int]:
    """The ids on all pages."""
    found: list[int] = []
    after = None
    while True:
        page = await app.jobs.summaries(after=after, limit=limit, **filters)
        found += [job.id for job in page.items]
        if (after := page.next) is None:
            return found


async def test_pages_of_each_state(app: Elihu, t: Task[..., Any]) -> None:
    available = [(await t.aenqueue()).id for _ in range(5)]
    held = [(await t.using(hold=True).aenqueue()).id for _ in range(3)]
    later = [(await t.using(delay=60).aenqueue()).id for _ in range(3)]
    await app.jobs.cancel(*available[:2])
    assert await ids(app) == [*later[::-1], *held[::-1], *available[::-1]]
    assert await ids(app, state="available") == available[2:]
    assert await ids(app, state="suspended") == held[::-1]
    assert await ids(app, state="scheduled") == later
    assert await ids(app, state="cancelled") == available[1::-1]
    assert await ids(app, state=["cancelled", "suspended"]) == [*held[::-1], *available[1::-1]]
    assert await ids(app, state="completed") == []


async def test_the_jobs_of_one_queue_need_no_look_at_others(
    app: Elihu, t: Task[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.engines.summaries.SCANNED", 4)
    assert reads.SCANNED > 4
    for queue in ("a", "b", "c"):
        await app.enqueue_many(NewJob(task="t", queue=queue) for _ in range(6))
    pages, after = 0, None
    while True:
        page = await app.jobs.summaries(state="available", queue="b", after=after, limit=10)
        pages += 1
        assert page.items or page.next is None
        if (after := page.next) is None:
            break
    assert pages == 2
    assert len(await ids(app, state="available", queue="b")) == 6


@pytest.mark.parametrize(
    "after",
    [
        "x", "", "e30", "WyJub3RoaW5nIixudWxsXQ", "WyJuZXdlc3QiLFsieCJdXQ",
        "WyJuZXdlc3QiLFsxLDJdXQ", "x" * 2_000, "\ud800",
    ],
)  # fmt: skip
async def test_a_bad_cursor_is_refused(app: Elihu, after: str) -> None:
    with pytest.raises(InvalidOption, match="after: expected the next of an earlier page"):
        await app.jobs.summaries(after=after)


async def test_a_cursor_of_another_list_is_refused(app: Elihu, t: Task[..., Any]) -> None:
    for _ in range(3):
        await t.aenqueue()
    page = await app.jobs.summaries(limit=1)
    with pytest.raises(InvalidOption, match="of this list"):
        await app.jobs.summaries(state="available", after=page.next)
    with pytest.raises(InvalidOption, match="ids"):
        await app.jobs.summaries(ids=[1])


async def test_counts_of_every_state(app: Elihu, t: Task[..., Any]) -> None:
    for _ in range(3):
        await t.aenqueue()
    counts = await app.stats.counts(most=2)
    assert set(counts) == set(JobState)
    available, completed = counts[JobState.AVAILABLE], counts[JobState.COMPLETED]
    assert (available.number, available.more) == (2, True)
    assert (completed.number, completed.more) == (0, False)
    with pytest.raises(InvalidOption, match="most"):
        await app.stats.counts(most=0)


async def test_failures_alike_are_one_group(app: Elihu) -> None:
    @app.task(name="bad", max_attempts=1)
    async def bad(number: int) -> None:
        raise ValueError(f"number {number} is bad\nsecret detail")

    @app.task(name="worse", max_attempts=1)
    async def worse() -> None:
        raise KeyError("x")

    events = EventRecorder(app)
    for number in range(3):
        await bad.aenqueue(number)
    await worse.aenqueue()
    async with app.running():
        await events.count(JobStopped, 4)
    first, second = await app.stats.failures()
    assert (first.task, first.jobs, first.error_type) == ("bad", 3, "builtins:ValueError")
    assert first.error.endswith("is bad")
    assert first.first_at <= first.last_at
    assert len(first.ids) == 3
    assert (second.task, second.jobs) == ("worse", 1)
    assert await app.stats.usual_time("bad") is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": 7}, "step: expected 60, 300"),
        ({"by": "node"}, "by: expected one of all, queue, task"),
        ({"since": datetime(2030, 1, 1)}, "since"),  # noqa: DTZ001
        ({"queue": ""}, "queue"),
    ],
)
async def test_bad_questions_are_refused(app: Elihu, wrong: dict[str, Any], message: str) -> None:
    now = datetime.now(UTC)
    asked: dict[str, Any] = {"since": now - timedelta(hours=1), "until": now} | wrong
    with pytest.raises(InvalidOption, match=message):
        await app.stats.throughput(**asked)
