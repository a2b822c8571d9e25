"""Submit a job and wait for its value, from asynchronous and synchronous code."""

import asyncio
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

import elihu
from elihu import (
    Elihu,
    InvalidArguments,
    InvalidOption,
    JobState,
    Relay,
    RelayTimeout,
    Task,
)
from tests.features.relays import Boom, looked
from tests.support import EventRecorder, Stopwatch


@dataclass
class Report:
    day: date
    lines: list[str]


# async: insert and return a handle


async def test_submit_stores_a_job_and_returns_a_handle(app: Elihu, double: Task[..., Any]):
    relay = await double.asubmit(4)
    assert isinstance(relay, Relay)
    assert relay.ref == relay.job.id
    assert (await app.jobs.get(relay.ref)).args == {"n": 4}
    assert (relay.job.task, relay.job.state, repr(relay)) == (
        "double",
        JobState.AVAILABLE,
        f"<Relay of job {relay.ref}>",
    )
    other = await app.submit(double.using(queue="mail").build(5))
    assert (other.job.queue, other.job.args) == ("mail", {"n": 5})


async def test_a_bad_job_raises_before_anything_is_stored(app: Elihu, double: Task[..., Any]):
    with pytest.raises(InvalidArguments, match="n: expected"):
        await double.asubmit("many")
    with pytest.raises(InvalidOption, match=r"task\.build"):
        await app.submit({"task": "double"})  # type: ignore[arg-type]
    for bad in (0, -1, True, "1", 2**63):
        with pytest.raises(InvalidOption, match="id: expected"):
            app.relay(bad)  # type: ignore[arg-type]
    relay = app.relay(1)
    with pytest.raises(LookupError, match="is read by the first wait"):
        _ = relay.job
    for timeout in (-1, math.nan, "soon", -math.inf):
        with pytest.raises(InvalidOption, match="timeout: expected"):
            await relay.aresult(timeout)
        with pytest.raises(InvalidOption, match="timeout: expected"):
            await elihu.agather([double.asubmit(1)], timeout)
    for wrong in (7, relay.ref, None):
        with pytest.raises(InvalidOption, match="agather: expected relays"):
            await elihu.agather([double.asubmit(1), wrong])  # type: ignore[list-item]
    assert await app.jobs.count() == 0
    with pytest.raises(InvalidOption, match="expected awaitables of relays"):
        await elihu.agather([double.aenqueue(1)])  # type: ignore[list-item]


# await: the value


async def test_the_value_comes_back_in_its_type(app: Elihu):
    @app.task(name="report")
    async def report(day: date) -> Report:
        return Report(day, ["a", "ß\n"])

    @app.task(name="nothing")
    def nothing() -> None: ...

    @app.task(name="untyped")
    async def untyped():
        return {"a": [1, None, "x"]}

    async with app.running():
        assert await (await report.asubmit(date(2026, 2, 3))).aresult() == Report(
            date(2026, 2, 3), ["a", "ß\n"]
        )
        assert await (await nothing.asubmit()).aresult() is None  # type: ignore[func-returns-value]
        relay = await untyped.asubmit()
        assert await relay.aresult("10s") == {"a": [1, None, "x"]}
        assert (
            await asyncio.gather(*(relay.aresult() for _ in range(3)))
            == [{"a": [1, None, "x"]}] * 3
        )


async def test_no_limit_of_a_notification_applies_to_a_result(app: Elihu, elsewhere: Elihu):
    @app.task(name="large")
    async def large(size: int) -> str:
        return "é" * size

    async with app.running():
        relays = [await large.asubmit(size) for size in (10, 10_000, 1_000_000)]
        values = await elihu.agather([elsewhere.relay(relay.ref) for relay in relays], 20)
    assert [len(value) for value in values] == [10, 10_000, 1_000_000]


async def test_results_that_do_not_fit_into_one_answer_come_one_after_the_other(
    app: Elihu, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.results.poller.QUERY_BYTES", 1)

    @app.task(name="t")
    async def t(n: int) -> str:
        return str(n) * 100

    async with app.running():
        assert await elihu.agather([t.asubmit(n) for n in range(5)], 20) == [
            str(n) * 100 for n in range(5)
        ]


# the time


async def test_the_job_keeps_running_after_its_waiter_timed_out(app: Elihu):
    gate = asyncio.Event()

    @app.task(name="t")
    async def t() -> str:
        await gate.wait()
        return "late"

    async with app.running():
        relay = await t.asubmit()
        watch = Stopwatch()
        with pytest.raises(RelayTimeout, match=r"within 0\.05 s") as caught:
            await relay.aresult(0.05)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.job_id == relay.ref
        assert watch.seconds < 3
        gate.set()
        assert await relay.aresult(20) == "late"


async def test_no_limit_of_time(app: Elihu, double: Task[..., Any]):
    relay = await double.asubmit(3)
    waiting = asyncio.create_task(relay.aresult(None))
    await looked(EventRecorder(app))
    async with app.running():
        assert await waiting == 6


# await_many


async def test_many_are_awaited_in_order_and_in_part(app: Elihu, double: Task[..., Any]):
    gate = asyncio.Event()

    @app.task(name="t", max_attempts=1)
    async def t(n: int) -> int:
        if n == 1:
            raise Boom("one")
        if n == 2:
            await gate.wait()
        return n

    async with app.running():
        relays: list[Any] = [
            await t.asubmit(0),
            t.asubmit(1),
            await t.asubmit(2),
            t.asubmit(3),
            double.asubmit("x"),
            double.asubmit(4),
        ]
        zero, boom, late, three, bad, eight = await elihu.agather(relays, 2)
        assert (zero, three, eight) == (0, 3, 8)
        assert [type(each) for each in (boom, late, bad)] == [Boom, RelayTimeout, InvalidArguments]
        gate.set()
        assert await elihu.agather([relays[2]], timeout=20) == [2]
    assert await elihu.agather([]) == []


async def test_awaitables_are_awaited_before_the_time_begins(app: Elihu, double: Task[..., Any]):
    async def slowly() -> Relay[int]:
        relay = await double.asubmit(21)
        await relay.aresult(20)
        return relay

    async with app.running():
        assert await elihu.agather([slowly()], 0.5) == [42]


async def test_relays_of_several_apps_are_gathered_together(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    async with app.running():
        relays = [await double.asubmit(n) for n in range(4)]
        mixed = [relay if n % 2 else elsewhere.relay(relay.ref) for n, relay in enumerate(relays)]
        assert await elihu.agather(mixed, 20) == [0, 2, 4, 6]


# synchronous code


async def test_the_synchronous_verbs(app: Elihu, double: Task[..., Any]):
    def work() -> tuple[Any, ...]:
        relay = double.submit(4)
        relays = [double.submit(n) for n in range(3)]
        with pytest.raises(RelayTimeout):
            double.using(delay=600).submit(1).result(timeout=0.05)
        with pytest.raises(InvalidOption, match="gather: expected relays"):
            elihu.gather([relay, double.asubmit(1)])  # type: ignore[list-item]
        return (
            relay.result(),
            app.relay(relay.ref).result(timeout=20),
            elihu.gather(relays, timeout=20),
            elihu.gather([]),
        )

    async with app.running():
        assert await asyncio.to_thread(work) == (8, 8, [0, 2, 4], [])


async def test_a_synchronous_verb_in_a_loop_names_the_right_one(app: Elihu, double: Task[..., Any]):
    relay = await double.asubmit(1)
    for call, verb in (
        (lambda: double.submit(1), r"await task\.asubmit"),
        (relay.result, r"await relay\.aresult"),
        (lambda: elihu.gather([relay]), r"await elihu\.agather"),
        (lambda: elihu.gather([double.asubmit(1)]), r"await elihu\.agather"),  # type: ignore[list-item]
    ):
        with pytest.raises(elihu.WrongLoop, match=verb):
            call()
    assert await app.jobs.count() == 1
