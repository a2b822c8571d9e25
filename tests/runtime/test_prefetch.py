"""Claims that wait in a node for a slot of their queue."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from elihu import JobState
from elihu.engines.protocol import Ack, Exchange
from elihu.job import JobFilter, RunOutcome
from elihu.runtime.queue.canceller import Canceller
from elihu.runtime.queue.nested_waits import NestedWaits
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.start_recorder import StartRecorder
from elihu.telemetry.events import JobStarted, JobStopped
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import stop, wait_idle
from tests.support import BUSY_MACHINE


class Line:
    """A producer with one slot, whose task waits before each end until it may go on."""

    def __init__(self, harness: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.harness = harness
        self.order: list[int] = []
        self.asked: list[tuple[int, int | None, int]] = []
        self.turn = asyncio.Semaphore(0)
        exchange = harness.engine.exchange

        async def t(number: int) -> None:
            self.order.append(number)
            await self.turn.acquire()

        async def watched(
            node: str, queue: str, free: int, acks: Sequence[Ack], *, ahead: int | None, **more: Any
        ) -> Exchange:
            answer = await exchange(node, queue, free, acks, ahead=ahead, **more)
            self.asked.append((free, ahead, len(answer.claims)))
            return answer

        harness.task(t, name="t")
        monkeypatch.setattr(harness.engine, "exchange", watched)

    async def put(self, number: int, **fields: Any) -> int:
        return await self.harness.put(args=json.dumps({"number": number}), **fields)

    async def at_work(
        self, jobs: int = 4, prefetch: int = 4, limit: int = 1, **fields: Any
    ) -> tuple[Producer, list[int]]:
        """A producer whose first ``limit`` jobs run while the others wait."""
        ids = [await self.put(number, **fields) for number in range(jobs)]
        producer = self.harness.producer(limit=limit, prefetch=prefetch)
        await producer.start()
        await self.began(min(limit, jobs))
        return producer, ids

    async def began(self, number: int) -> None:
        await self.harness.until(lambda: len(self.harness.of(JobStarted)) >= number)

    async def ended(self, number: int, producer: Producer) -> None:
        """``number`` attempts have ended, and nothing waits to be written."""
        await self.harness.until(
            lambda: (
                len(self.harness.of(JobStopped)) == number
                and len(producer.held) == len(producer.claims)
            )
        )

    async def written(self, producer: Producer) -> None:
        """What was given back is written."""
        await self.harness.until(lambda: len(producer.held) == len(producer.claims))

    async def shown(self, ids: Sequence[int]) -> list[tuple[str, bool, int]]:
        """Of each job its state, whether it has started, and its attempt."""
        jobs = [await self.harness.job(each) for each in ids]
        return [(job.state.value, job.started_at is not None, job.attempt) for job in jobs]


RUNS, WAITS, GIVEN_BACK = ("executing", True, 1), ("executing", False, 1), ("available", False, 0)


@pytest.fixture
async def line(harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch) -> Line:
    """On a node that waits for a busy machine: after a call that had no answer in time it
    would ask for fewer jobs.
    """
    return Line(await harnesses(**BUSY_MACHINE), monkeypatch)


async def test_claims_wait_and_start_in_order_without_a_fetch(line: Line):
    producer, ids = await line.at_work(5)
    assert line.asked == [(5, 4, 5)]
    assert await line.shown(ids) == [RUNS, *[WAITS] * 4]
    for _ in range(5):
        line.turn.release()
    await line.ended(5, producer)
    assert line.order == [0, 1, 2, 3, 4]
    assert sum(claims for _, _, claims in line.asked[1:]) == 0
    jobs = [await line.harness.job(each) for each in ids]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    starts = [job.started_at for job in jobs]
    assert all(starts)
    assert [await line.harness.results(each) for each in ids] == [["completed"]] * 5
    await stop(producer)


async def test_more_jobs_never_run_than_there_are_slots(line: Line):
    producer, _ = await line.at_work(40, prefetch=8, limit=3)
    for number in range(40):
        await line.began(min(number + 3, 40))
        assert len(producer.running) <= 3
        line.turn.release()
    await line.ended(40, producer)
    assert line.order == list(range(40))
    assert max(free for free, _, _ in line.asked) == 11
    await stop(producer)


async def test_the_line_is_filled_again_when_half_of_it_is_empty(line: Line):
    producer, _ = await line.at_work(20, prefetch=4)
    for number in range(1, 4):
        line.turn.release()
        await line.ended(number, producer)
    assert [ahead for _, ahead, claims in line.asked if claims] == [4, 2]
    assert len(producer.starter.line) == 3
    await stop(producer, grace=0)


async def test_a_more_urgent_job_that_is_fetched_passes_those_that_wait(line: Line):
    producer, _ = await line.at_work(5, priority=5)
    await line.put(100, priority=0)
    for _ in range(3):
        line.turn.release()
    await line.began(4)
    await line.harness.until(lambda: (100, 0) in line_of(producer) or 100 in line.order)
    line.turn.release()
    await line.began(5)
    assert line.order.index(100) < 5
    await stop(producer, grace=0)


def line_of(producer: Producer) -> list[tuple[int, int]]:
    return [
        (json.loads(waiting.claim.args)["number"], waiting.claim.priority)
        for waiting in producer.starter.line._waiting
    ]


async def test_without_prefetch_nothing_waits(line: Line):
    producer, ids = await line.at_work(3, prefetch=0)
    assert line.asked == [(1, None, 1)]
    assert await line.shown(ids) == [RUNS, GIVEN_BACK, GIVEN_BACK]
    await stop(producer, grace=0)


async def test_a_stop_gives_back_what_waits_while_it_waits_for_what_runs(line: Line):
    producer, ids = await line.at_work(3)
    stopping = asyncio.create_task(stop(producer))
    await line.harness.until(lambda: len(producer.held) == 1)
    assert await line.shown(ids) == [RUNS, GIVEN_BACK, GIVEN_BACK]
    line.turn.release()
    await stopping
    assert line.order == [0]
    assert await line.harness.results(ids[1]) == ["returned"]
    assert line.harness.announced()


async def test_a_pause_gives_back_what_waits_and_lets_it_wait_again(line: Line):
    producer, ids = await line.at_work(3)
    producer.adjust(limit=1, paused=True)
    await line.written(producer)
    assert await line.shown(ids) == [RUNS, GIVEN_BACK, GIVEN_BACK]
    producer.adjust(limit=1, paused=False)
    await line.harness.until(lambda: len(producer.starter.line) == 2)
    assert await line.shown(ids) == [RUNS, WAITS, WAITS]
    await stop(producer, grace=0)


async def test_claims_that_arrive_in_a_pause_do_not_wait(line: Line):
    producer, ids = await line.at_work(1)
    exchange, arrived = line.harness.engine.exchange, asyncio.Event()

    async def paused_meanwhile(*args: Any, **more: Any) -> Exchange:
        answer = await exchange(*args, **more)
        if answer.claims:
            producer.adjust(limit=1, paused=True)
            arrived.set()
        return answer

    line.harness.engine.exchange = paused_meanwhile  # type: ignore[method-assign]
    ids.append(await line.put(1))
    producer.fetch_soon()
    await arrived.wait()
    await line.harness.until(lambda: len(producer.held) == 1)
    assert await line.shown(ids) == [RUNS, GIVEN_BACK]
    await stop(producer, grace=0)


async def test_a_node_that_is_cut_off_gives_back_what_waits(line: Line):
    producer, ids = await line.at_work(3)
    producer.cut_off(True)
    await line.written(producer)
    assert await line.shown(ids) == [RUNS, GIVEN_BACK, GIVEN_BACK]
    await stop(producer, grace=0)


async def test_a_node_that_was_removed_forgets_what_waits(line: Line):
    producer, ids = await line.at_work(3)
    asked = len(line.asked)
    line.harness.scope.identity.node = str(uuid4())
    producer.lose_all()
    line.turn.release()
    await line.harness.until(lambda: len(line.asked) > asked)
    assert producer.claims == []
    assert line.order == [0]
    assert await line.shown(ids) == [RUNS, WAITS, WAITS]


@pytest.mark.parametrize(
    ("verb", "shown", "outcomes"),
    [
        ("cancel", ("cancelled", False, 0), ["returned"]),
        ("kill", GIVEN_BACK, ["returned"]),
    ],
)
async def test_a_waiting_job_that_is_cancelled_or_killed_does_not_run(
    line: Line, verb: str, shown: tuple[str, bool, int], outcomes: list[str]
):
    producer, ids = await line.at_work(3)
    canceller = Canceller(line.harness.scope, lambda: [producer])
    await getattr(line.harness.engine, verb)(JobFilter(ids=(ids[1],)))
    producer.paused = True  # what is given back is not fetched again
    await canceller.tick()
    await line.written(producer)
    assert await line.shown(ids) == [RUNS, shown, WAITS]
    assert await line.harness.results(ids[1]) == outcomes
    for _ in range(2):
        line.turn.release()
    await line.ended(2, producer)
    assert line.order == [0, 2]
    await stop(producer)


async def test_a_waiting_job_that_was_stopped_is_dropped(line: Line):
    producer, ids = await line.at_work(2)
    await line.harness.engine.stop(ids[1])
    producer.paused = True
    await Canceller(line.harness.scope, lambda: [producer]).tick()
    assert producer.held == {(ids[0], 1)}
    line.turn.release()
    await line.ended(1, producer)
    assert (await line.harness.job(ids[1])).state is JobState.AVAILABLE
    await stop(producer)


async def test_a_job_is_not_started_after_its_expiry(line: Line):
    producer, ids = await line.at_work(1)
    ids += [await line.put(1, expires=60.0), await line.put(2, expires=600.0)]
    producer.fetch_soon()
    await line.harness.until(lambda: len(producer.starter.line) == 2)
    line.harness.clock.time += 61
    producer.paused = True
    line.turn.release()
    await line.began(2)
    await line.written(producer)
    assert line.order == [0, 2]
    assert (await line.shown(ids))[1] == GIVEN_BACK
    await stop(producer, grace=0)


async def test_the_start_is_that_of_the_attempt_and_not_of_the_claim(line: Line):
    producer, ids = await line.at_work(2)
    line.harness.clock.time += 30
    line.turn.release()
    await line.began(2)
    waits = [event.waited for event in line.harness.of(JobStarted)]
    assert waits[0] + 29 < waits[1] < 60
    assert (await line.harness.job(ids[1])).started_at is None
    recorder = StartRecorder(line.harness.scope, lambda: [producer])
    assert (await recorder.tick()).data == {"recorded_count": 1}
    assert (await recorder.tick()).data == {"recorded_count": 0}
    assert [execution.waited for execution in producer.running.values()] == [0.0]
    first, second = [await line.harness.job(each) for each in ids]
    assert first.started_at
    assert second.started_at
    assert 30 <= (second.started_at - first.started_at).total_seconds() < 50
    line.turn.release()
    await line.ended(2, producer)
    assert (await line.harness.job(ids[1])).started_at == second.started_at
    await stop(producer)


async def test_a_failed_attempt_that_waited_has_its_start_in_its_run(line: Line):
    harness = line.harness
    finished: list[bool] = []

    async def fails() -> None:
        finished.append(True)
        raise ValueError

    harness.task(fails, name="fails")
    producer, _ = await line.at_work(1)
    failed = await harness.put("fails")
    producer.fetch_soon()
    await harness.until(lambda: len(producer.starter.line) == 1)
    claimed_at = producer.starter.line._waiting[0].claim.started_at
    harness.clock.time += 30
    line.turn.release()
    await harness.until(lambda: len(finished) == 1 and wait_idle(producer))
    (run,) = await harness.engine.runs(failed)
    assert run.outcome is RunOutcome.FAILED
    assert 30 <= (run.started_at - claimed_at).total_seconds() < 31
    await stop(producer)


async def test_no_claim_waits_while_every_slot_waits_for_a_job(line: Line):
    producer, ids = await line.at_work(3)
    (execution,) = producer.running.values()
    nested = NestedWaits(line.harness.scope, lambda: [producer])
    execution.waits.begin(ids[1:2])
    await nested.tick()
    await line.written(producer)
    assert await line.shown(ids) == [RUNS, GIVEN_BACK, GIVEN_BACK]
    execution.waits.end(ids[1:2])
    await nested.tick()
    producer.fetch_soon()
    await line.harness.until(lambda: len(producer.starter.line) == 2)
    await stop(producer, grace=0)


async def test_a_waiting_job_of_an_unknown_task_is_given_back(line: Line):
    producer, _ = await line.at_work(1)
    unknown = await line.harness.put("strange")
    known = await line.put(1)
    producer.fetch_soon()
    await line.harness.until(lambda: producer.starter.line.keys == [(known, 1)])
    await line.written(producer)
    assert await line.harness.results(unknown) == ["returned"]
    await stop(producer, grace=0)
