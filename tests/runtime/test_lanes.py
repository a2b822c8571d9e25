"""Two exchanges of one queue at the same time."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from elihu.engines.protocol import Ack, Exchange
from elihu.errors import DatabaseUnavailable
from elihu.job import JobFilter, JobState, NewJob
from elihu.runtime.queue.lanes import (
    FEWEST,
    FIRST,
    KEPT,
    MOST_OTHERS,
    TRIAL,
    UNMEASURED,
    Lanes,
    _Phases,
)
from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import FIRST_BACKOFF
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import gated, stop

pytestmark = pytest.mark.sqlite_first

LIMIT = 90
THIRD = LIMIT // 3


class NoWork:
    may_send = False

    async def round(self) -> None: ...
    def failed_beside(self, error: BaseException) -> None: ...


def lanes_of(*, two: bool, woken: asyncio.Event) -> Lanes:
    """The lanes of a node that is alone."""
    return Lanes(NoWork(), two=two, woken=woken, others=lambda: 0)


class Link:
    """The engine's exchange, and what passes it: ``under_way`` and the most at a time,
    how many wait until it is ``open``, the slots and ends of each, what has failed. The
    exchange of the number ``close_at`` closes it.
    """

    def __init__(self, harness: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.under_way = self.most = self.waiting = self.failed = 0
        self.close_at: int | None = None
        self.sent: list[tuple[int, int]] = []
        self.times: list[float] = []
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()
        self._exchange = harness.engine.exchange
        monkeypatch.setattr(harness.engine, "exchange", self.exchange)
        monkeypatch.setattr(harness.engine, "overlaps", True)

    async def exchange(
        self, node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        self.sent.append((len(acks), free))
        if len(self.sent) == self.close_at:
            self.open.clear()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0)
            self.waiting += 1
            await self.open.wait()
            self.waiting -= 1
            if self.broken:
                self.failed += 1
                self.times.append(asyncio.get_running_loop().time())
                raise DatabaseUnavailable("the link is broken")
            return await self._exchange(node, queue, free, acks, **more)
        finally:
            self.under_way -= 1

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not done():  # noqa: ASYNC110 (several events lead to it)
                await asyncio.sleep(0.001)


@pytest.fixture
def link(harness: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> Link:
    """Two exchanges are always taken for the faster way."""
    monkeypatch.setattr(_Phases, "both", lambda self, ends, now: True)
    return Link(harness, monkeypatch)


async def filled(harness: NodeHarness, jobs: int) -> Producer:
    await harness.engine.insert([NewJob(task="t")] * jobs)
    return harness.producer(limit=LIMIT)


async def completed(harness: NodeHarness) -> int:
    return await harness.engine.count(JobFilter(state=(JobState.COMPLETED,)))


async def test_a_deep_queue_has_two_exchanges_of_a_third_each(harness: NodeHarness, link: Link):
    ran: list[int] = []
    most = 0

    async def t() -> None:
        nonlocal most
        ran.append(1)
        most = max(most, len(producer.running))

    harness.task(t, name="t")
    producer = await filled(harness, 900)
    await producer.start()
    await producer.wait_idle()
    assert len(ran) == await completed(harness) == 900
    assert link.most == 2
    assert most <= LIMIT
    assert link.sent[0] == (0, LIMIT)
    assert sum(sent == (THIRD, THIRD) for sent in link.sent) >= 10
    assert not producer.held
    await stop(producer)


async def test_a_job_that_comes_when_the_queue_was_drained_is_fetched(
    harness: NodeHarness, link: Link
):
    ran: list[int] = []

    async def t() -> None:
        ran.append(1)

    harness.task(t, name="t")
    producer = await filled(harness, 300)
    await producer.start()
    await producer.wait_idle()
    assert producer.is_idle
    sent = len(link.sent)
    await harness.put()
    producer.announced()
    await producer.wait_idle()
    assert len(ran) == 301
    assert len(link.sent) - sent <= 3
    await stop(producer)


async def test_attempts_that_end_one_by_one_leave_one_exchange(harness: NodeHarness, link: Link):
    gates = [asyncio.Event() for _ in range(300)]
    began: list[int] = []

    async def t() -> None:
        began.append(1)
        await gates[len(began) - 1].wait()

    harness.task(t, name="t")
    producer = await filled(harness, 300)
    await producer.start()
    await link.until(lambda: len(began) == LIMIT)
    link.most = 0
    for number in range(20):
        gates[number].set()
        now = LIMIT + number + 1
        await link.until(lambda: len(began) == now)  # noqa: B023 (called before the next turn)
    assert link.most == 1
    for gate in gates:
        gate.set()
    await producer.wait_idle()
    assert await completed(harness) == 300
    await stop(producer)


async def test_a_broken_link_has_one_back_off(harness: NodeHarness, link: Link):
    async def t() -> None: ...

    harness.task(t, name="t")
    producer = await filled(harness, 900)
    await producer.start()
    await link.until(lambda: link.under_way == 2)
    link.broken = True
    await link.until(lambda: link.failed >= 2)
    link.most = link.under_way
    failed = link.failed
    await link.until(lambda: link.failed >= failed + 2)
    assert link.most <= 1
    last = link.times[-3:]
    assert all(later - earlier >= FIRST_BACKOFF / 2 for earlier, later in pairwise(last))
    link.broken = False
    producer.fetch_soon()
    await producer.wait_idle()
    assert await completed(harness) == 900
    await stop(producer)


async def test_a_stop_writes_what_both_exchanges_brought(harness: NodeHarness, link: Link):
    gate, _ = await gated(harness)
    gate.set()
    link.close_at = 6
    producer = await filled(harness, 900)
    await producer.start()
    await link.until(lambda: link.waiting == 2)
    stopping = asyncio.create_task(stop(producer))
    await asyncio.sleep(0)
    link.open.set()
    await stopping
    assert not producer.held
    states = (JobState.AVAILABLE, JobState.COMPLETED)
    assert await harness.engine.count(JobFilter(state=states)) == 900


async def test_a_pause_waits_for_both_exchanges(harness: NodeHarness, link: Link):
    gate, _ = await gated(harness)
    gate.set()
    link.close_at = 6
    producer = await filled(harness, 900)
    await producer.start()
    await link.until(lambda: link.waiting == 2)
    producer.adjust(limit=LIMIT, paused=True)
    ended = asyncio.create_task(producer.fetch_ended())
    await asyncio.sleep(0.01)
    assert not ended.done()
    link.open.set()
    await ended
    assert link.under_way == 0 or link.sent[-1][1] == 0
    producer.adjust(limit=LIMIT, paused=False)
    await producer.wait_idle()
    assert await completed(harness) == 900
    await stop(producer)


async def test_a_second_task_that_is_cancelled_loses_nothing(harness: NodeHarness, link: Link):
    async def t() -> None: ...

    harness.task(t, name="t")
    producer = await filled(harness, 900)
    await producer.start()
    await link.until(lambda: link.under_way == 2)
    for task in asyncio.all_tasks():
        if task.get_name() == "elihu-queue-default-second":
            task.cancel()
    await producer.wait_idle()
    unknown = await harness.engine.count(JobFilter(state=(JobState.EXECUTING,)))
    assert await completed(harness) + unknown == 900
    assert unknown <= LIMIT  # fetched by the exchange that was cancelled: the reconciler's
    assert not producer.held
    await stop(producer)


def test_one_exchange_where_the_engine_has_one_writer() -> None:
    lanes = lanes_of(two=False, woken=asyncio.Event())
    lanes.fetched(LIMIT, LIMIT, LIMIT, 0, 0.0)
    lanes.fetched(LIMIT, LIMIT, LIMIT, LIMIT, TRIAL)
    with lanes.exchange(THIRD):
        assert not lanes.may_send(LIMIT, LIMIT, 0, LIMIT)
    assert lanes.size(LIMIT, LIMIT) == LIMIT


@pytest.mark.parametrize(("limit", "two"), [(FEWEST - 1, False), (FEWEST, True)])
def test_one_exchange_for_few_slots(limit: int, two: bool) -> None:
    lanes = lanes_of(two=True, woken=asyncio.Event())
    lanes.fetched(limit, limit, limit, 0, 0.0)
    lanes.fetched(limit, limit, limit, limit, TRIAL)
    with lanes.exchange(limit // 3):
        assert lanes.may_send(limit, 0, 5, limit) is two
        assert not lanes.may_send(1, limit, 5, limit), "few ends while attempts run"
        assert lanes.may_send(1, limit, 0, limit) is two
        with lanes.exchange(limit // 3):
            assert not lanes.may_send(limit, limit, 0, limit)
    assert lanes.size(limit, limit) == (limit // 3 if two else limit)


def test_one_exchange_beside_many_nodes() -> None:
    others = MOST_OTHERS
    lanes = Lanes(NoWork(), two=True, woken=asyncio.Event(), others=lambda: others)
    lanes.fetched(LIMIT, LIMIT, LIMIT, 0, 0.0)
    lanes.fetched(LIMIT, LIMIT, LIMIT, LIMIT, TRIAL)
    assert lanes.size(LIMIT, LIMIT) == THIRD
    others += 1
    lanes.fetched(THIRD, THIRD, LIMIT, THIRD, 2 * TRIAL)
    assert lanes.size(LIMIT, LIMIT) == LIMIT


def test_an_answer_with_fewer_jobs_ends_the_second_exchange() -> None:
    lanes = lanes_of(two=True, woken=asyncio.Event())
    lanes.fetched(LIMIT, LIMIT, LIMIT, 0, 0.0)
    lanes.fetched(LIMIT, LIMIT, LIMIT, LIMIT, TRIAL)
    assert lanes.size(LIMIT, LIMIT) == THIRD
    lanes.fetched(THIRD, THIRD - 1, LIMIT, 0, 3 * TRIAL)
    assert lanes.size(LIMIT, LIMIT) == LIMIT


def test_a_failure_ends_the_second_exchange() -> None:
    lanes = lanes_of(two=True, woken=asyncio.Event())
    lanes.fetched(LIMIT, LIMIT, LIMIT, 0, 0.0)
    lanes.fetched(LIMIT, LIMIT, LIMIT, LIMIT, TRIAL)
    with pytest.raises(LookupError), lanes.exchange(THIRD):
        raise LookupError
    assert (lanes.under_way, lanes.reserved) == (0, 0)
    assert lanes.size(LIMIT, LIMIT) == LIMIT


def test_one_exchange_where_no_ends_are_sent() -> None:
    lanes = lanes_of(two=True, woken=asyncio.Event())
    for now in range(9):
        lanes.fetched(LIMIT, LIMIT, LIMIT, 0, float(now))
        assert lanes.size(LIMIT, LIMIT) == LIMIT
    lanes.fetched(LIMIT, LIMIT, LIMIT, LIMIT, 9.0)
    assert lanes.size(LIMIT, LIMIT) == THIRD
    for now in range(10, 15):
        lanes.fetched(THIRD, THIRD, LIMIT, 0, float(now))
    assert lanes.size(LIMIT, LIMIT) == LIMIT, "they are written elsewhere now"


async def test_slots_whose_ends_are_written_are_filled_together() -> None:
    woken = asyncio.Event()
    lanes = lanes_of(two=False, woken=woken)
    with lanes.exchange(10):
        await asyncio.sleep(0.001)
    assert lanes.may_send(0, 1, 9, 10), "an end that is not of this kind waits for nothing"
    lanes.freed()
    assert woken.is_set()
    assert not lanes.may_send(0, 4, 6, 10)
    assert lanes.may_send(0, 5, 5, 10), "half of the slots"
    assert lanes.may_send(1, 1, 9, 10), "an end to send"
    assert lanes.may_send(0, 1, 0, 10), "nothing runs that could free another slot"
    woken.clear()
    await woken.wait()
    assert lanes.may_send(0, 1, 9, 10), "the time of an exchange has passed"
    lanes.freed()
    lanes.wake()
    assert lanes.may_send(0, 1, 9, 10), "there are new jobs"
    lanes.freed()
    with lanes.exchange(1):
        pass
    assert lanes.may_send(0, 1, 9, 10), "another exchange has passed"


def pass_unmeasured(phases: _Phases, now: float) -> None:
    """Answers that are not measured, however many ends they bring."""
    for _ in range(UNMEASURED):
        phases.both(10_000, now)


@pytest.mark.parametrize(
    ("two", "one", "kept"), [(195, 50, True), (150, 54, True), (150, 65, False)]
)
def test_the_other_way_is_tried_and_the_faster_one_kept(two: int, one: int, kept: bool) -> None:
    phases, now = _Phases(), 10.0
    pass_unmeasured(phases, now)
    assert phases.both(0, now + FIRST / 2)
    now += FIRST
    assert not phases.both(two, now), "one at a time is tried"
    pass_unmeasured(phases, now)
    assert not phases.both(0, now + TRIAL / 2)
    now += TRIAL * 1.01
    assert phases.both(one, now) is kept
    pass_unmeasured(phases, now)
    assert phases.both(10 * two if kept else 20 * one, now + KEPT / 2) is kept
    now += KEPT * 1.01
    assert phases.both(0, now) is not kept, "the other way is tried again"
    pass_unmeasured(phases, now)
    assert phases.both(0, now + TRIAL * 1.01) is kept, "it brought nothing"


def test_a_way_that_was_kept_is_the_first_of_the_next_deep_queue() -> None:
    phases, now = _Phases(), 10.0
    pass_unmeasured(phases, now)
    assert not phases.both(100, now + FIRST), "one at a time is tried"
    phases.restart()
    pass_unmeasured(phases, now + FIRST)
    assert phases.both(100, now + FIRST + TRIAL), "the trial has not ended"
    assert not phases.both(100, now + 3 * FIRST)
    pass_unmeasured(phases, now + 3 * FIRST)
    assert not phases.both(100, now + 3 * FIRST + 2 * TRIAL), "one is faster"
    phases.restart()
    assert not phases.both(100, now + 9 * KEPT)
