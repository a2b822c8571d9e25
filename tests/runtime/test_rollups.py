"""A node counts the ends of its attempts, and writes them with its heartbeat."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import Elihu
from elihu.engines.protocol import ClaimedJob
from elihu.engines.protocol.rollups import NUMBERS
from elihu.errors import DatabaseUnavailable
from elihu.job import RunOutcome
from elihu.runtime.attempt_counts import MOST_MINUTES, AttemptCounts, EndedAttempt
from elihu.runtime.membership.rollups import RollUpWriter
from tests.runtime.conftest import HarnessFactory

START = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = int(START.timestamp()) // 60 * 60


def ended(
    task: str = "t",
    outcome: RunOutcome = RunOutcome.COMPLETED,
    *,
    run: float = 0.0,
    wait: float = 0.0,
    start: datetime = START,
) -> EndedAttempt:
    fields: dict[str, Any] = dict.fromkeys(ClaimedJob._fields)
    claim = ClaimedJob(**fields)._replace(
        started_at=start, scheduled_at=start - timedelta(seconds=wait)
    )
    return EndedAttempt(claim, task, outcome, run)


def numbers(counts: AttemptCounts) -> dict[str, int]:
    (row,) = counts.take()
    return {name: n for name, n in zip(NUMBERS, row.numbers, strict=True) if n}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0, 0), (0.0009, 0), (0.001, 1), (0.0039, 1), (0.004, 2), (0.0159, 2), (1.023, 5),
        (1.024, 6), (16_777.2, 12), (16_778, 13), (10**6, 13),
    ],
)  # fmt: skip
def test_a_time_is_in_the_bucket_below_its_bound(seconds: float, bucket: int) -> None:
    counts = AttemptCounts()
    counts.add("q", [ended(wait=seconds)])
    found = numbers(counts)
    assert [name for name in found if name.startswith("wait_") and name != "wait_ms"] == [
        f"wait_{bucket}"
    ]
    assert found["jobs"] == found["run_0"] == 1


def test_a_batch_is_counted_by_task_and_outcome() -> None:
    counts = AttemptCounts()
    counts.add("q", [ended(run=1), ended(run=2), ended(outcome=RunOutcome.FAILED), ended("other")])
    rows = {(row.task, row.outcome): row for row in counts.take()}
    assert {row.minute for row in rows.values()} == {MINUTE}
    assert rows["t", "completed"].numbers[:2] == (2, 3_000)
    assert (rows["t", "failed"].numbers[0], rows["other", "completed"].numbers[0]) == (1, 1)


def test_the_minute_is_that_of_the_end_by_the_databases_clock() -> None:
    counts = AttemptCounts()
    counts.add("q", [ended(run=45)])
    assert [row.minute for row in counts.take()] == [MINUTE + 60]


def test_only_what_changed_is_taken_and_what_was_not_written_comes_again() -> None:
    counts = AttemptCounts()
    counts.add("q", [ended()])
    rows = counts.take()
    assert counts.take() == []
    counts.put_back(rows)
    assert counts.take() == rows
    counts.add("q", [ended()])
    assert [row.numbers[0] for row in counts.take()] == [2]


def test_minutes_that_cannot_be_written_are_bounded() -> None:
    counts = AttemptCounts()
    for number in range(MOST_MINUTES + 10):
        counts.add("q", [ended(start=START + timedelta(minutes=number))])
    minutes = [row.minute for row in counts.take()]
    assert len(minutes) == MOST_MINUTES
    assert minutes[-1] == MINUTE + 60 * (MOST_MINUTES + 9)


async def test_a_node_writes_what_it_counted_when_it_stops(app: Elihu) -> None:
    @app.task(name="fine")
    async def fine() -> None: ...

    @app.task(name="bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError

    since = datetime.now(UTC) - timedelta(hours=1)
    relays = [await fine.asubmit() for _ in range(3)] + [await bad.asubmit()]
    async with app.running():
        for relay in relays:
            try:
                await relay.aresult(timeout=20)
            except ValueError:
                continue
    found = await app.stats.throughput(since=since, until=since + timedelta(hours=2), by="task")
    totals: dict[tuple[str | None, str], int] = {}
    for point in found:
        totals[point.key, point.outcome] = totals.get((point.key, point.outcome), 0) + point.jobs
    assert totals == {("fine", "completed"): 3, ("bad", "failed"): 1}


async def test_a_failed_write_is_repeated(
    harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await harnesses()
    writer = RollUpWriter(harness.scope)
    harness.scope.counts.add("q", [ended()])

    async def away(name: str, rows: Any) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(harness.engine, "write_rollups", away)
        with pytest.raises(DatabaseUnavailable):
            await writer.tick()
    assert (await writer.tick()).data == {"rows": 1}
    assert (await writer.tick()).data == {"rows": 0}
    rows = await harness.engine.rollups(
        START - timedelta(minutes=1), START + timedelta(minutes=1), 60, by="all", limit=10
    )
    assert [row.numbers[0] for row in rows] == [1]
