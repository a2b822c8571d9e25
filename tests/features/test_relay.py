"""Submit and wait, on any node: each row of what a relay is, on both engines."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

import elihu
from elihu import (
    Cancel,
    Discard,
    Elihu,
    InvalidArguments,
    InvalidOption,
    JobCancelled,
    JobDiscarded,
    JobFailed,
    JobNotFound,
    JobSnoozed,
    JobState,
    Relay,
    RelayTimeout,
    ResultNotRecorded,
    ResultTooLarge,
    Retry,
    Snooze,
    Task,
    Unique,
)
from elihu.remote_errors import rebuilt
from elihu.results.pending import Waiter
from elihu.telemetry.events import Ticked
from tests.support import BUSY_MACHINE, QUICK, EventRecorder, Stopwatch

HOUR = 3_600.0
HEARS: dict[str, Any] = {**QUICK, "poll": HOUR, "poll_fallback": HOUR}
"""An app that would wait for ever if nothing announced an end."""


class Boom(Exception):
    pass


class Choosy(Exception):
    """Cannot be made without two values."""

    def __init__(self, place: str, depth: int) -> None:
        super().__init__(f"{place} at {depth}")
        raise AssertionError("a constructor that must not run")


class Mute(Exception):
    """Has no text unless its constructor ran."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __str__(self) -> str:
        return self.place


@dataclass
class Report:
    day: date
    lines: list[str]


@pytest.fixture
async def elsewhere(app: Elihu, database_url: str) -> AsyncIterator[Elihu]:
    """An app as another process has it: its own connections, no tasks, and no way to
    the first but the database.
    """
    other = Elihu(database_url, **HEARS)
    yield other
    await other.aclose()


@pytest.fixture
def double(app: Elihu) -> Task[..., Any]:
    @app.task(name="double")
    async def double(n: int) -> int:
        return 2 * n

    return double


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
    with pytest.raises(LookupError, match="read by a first wait"):
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
    monkeypatch.setattr("elihu.results.poller.LOOK_BYTES", 1)

    @app.task(name="t")
    async def t(n: int) -> str:
        return str(n) * 100

    async with app.running():
        assert await elihu.agather([t.asubmit(n) for n in range(5)], 20) == [
            str(n) * 100 for n in range(5)
        ]


# errors


async def test_each_end_has_its_error(app: Elihu):
    @app.task(name="t", max_attempts=1)
    async def t(how: str) -> Any:
        raise {
            "discard": Discard("hopeless"),
            "discard without a reason": Discard(),
            "cancel": Cancel("not needed"),
            "snooze": Snooze(600),
            "retry": Retry("not ready"),
            "built in": ValueError("no such value"),
            "key": KeyError("name"),
            "known": Boom("it broke"),
            "silent": Boom(),
            "os": FileNotFoundError(2, "No such file", "/nowhere"),
            "exit": SystemExit(3),
        }[how]

    async def error(how: str) -> Any:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (which one it is, is the question)
            await (await t.asubmit(how)).aresult()
        return caught.value

    async with app.running():
        discarded = await error("discard")
        assert (type(discarded), discarded.reason, str(discarded).split()[-1]) == (
            JobDiscarded,
            "hopeless",
            "hopeless",
        )
        assert (await error("discard without a reason")).reason is None
        cancelled = await error("cancel")
        assert (type(cancelled), cancelled.reason) == (JobCancelled, "not needed")
        assert type(await error("snooze")) is JobSnoozed
        retried = await error("retry")
        assert (type(retried), retried.reason) == (JobFailed, "RuntimeError: not ready")
        for how, kind, said in (
            ("built in", ValueError, "no such value"),
            ("key", KeyError, "'name'"),
            ("known", Boom, "it broke"),
        ):
            own = await error(how)
            assert (type(own), str(own)) == (kind, said)
            assert any("in t\n" in note for note in own.__notes__)
        assert (await error("key")).args == ("name",)
        assert str(await error("silent")) == ""
        missing = await error("os")
        assert (type(missing), str(missing)) == (
            FileNotFoundError,
            "[Errno 2] No such file: '/nowhere'",
        )
        exited = await error("exit")
        assert (type(exited), exited.reason) == (JobFailed, "SystemExit: 3")


async def test_a_killed_a_late_and_an_expired_job_say_so(app: Elihu):
    app.override(lifeline={"interval": 0.1})
    began = asyncio.Semaphore(0)

    @app.task(name="endless", max_attempts=1)
    async def endless() -> None:
        began.release()
        await asyncio.Event().wait()

    killed, expired = (
        await endless.asubmit(),
        await endless.using(expires=0.01, delay=0.01, queue="unserved").asubmit(),
    )
    late = await endless.using(timeout=0.05).asubmit()
    async with app.running():
        await began.acquire()
        await began.acquire()
        await app.jobs.kill(killed.ref)
        with pytest.raises(JobFailed) as failed:
            await killed.aresult(20)
        assert failed.value.reason == "killed"
        with pytest.raises(JobFailed) as failed:
            await late.aresult(20)
        assert failed.value.reason is not None
        assert "0.05 s" in failed.value.reason
        with pytest.raises(JobCancelled) as cancelled:
            await expired.aresult(40)
    assert cancelled.value.reason == "expired"


async def test_an_exception_is_built_without_its_constructor_or_not_at_all(app: Elihu):
    @app.task(name="choosy", max_attempts=1)
    async def choosy() -> None:
        error = Choosy.__new__(Choosy)
        error.args = ("here at 3",)
        raise error

    @app.task(name="mute", max_attempts=1)
    async def mute() -> None:
        raise Mute("there")

    async with app.running():
        with pytest.raises(Choosy, match="here at 3"):
            await (await choosy.asubmit()).aresult()
        with pytest.raises(JobFailed) as caught:
            await (await mute.asubmit()).aresult()
    assert caught.value.reason == "Mute: there"


async def test_an_exception_that_is_not_imported_here_is_not_imported_for_it(
    app: Elihu, elsewhere: Elihu
):
    @app.task(name="t", max_attempts=1)
    async def t() -> None:
        class Local(Exception):
            pass

        raise Local("who am I")

    async with app.running():
        relay = await t.asubmit()
        with pytest.raises(JobFailed) as caught:
            await relay.aresult()
    assert "Local: who am I" in str(caught.value)
    assert caught.value.traceback is not None
    assert "in t\n" in caught.value.traceback
    for name in (
        "this:Anything",
        "os:system",
        "builtins:int",
        "builtins:SystemExit",
        "elihu:JobFailed.__doc__",
        "nonsense",
        ":",
        "os:path.join",
    ):
        assert rebuilt(name, "x", None) is None
    assert "this" not in sys.modules


async def test_a_result_that_is_not_there_says_why(
    app: Elihu, seen: EventRecorder, database_url: str
):
    small = Elihu(database_url, **QUICK, max_result=100)

    @small.task(name="big")
    async def big() -> str:
        return "x" * 200

    @small.task(name="odd")
    async def odd() -> float:
        return math.nan

    @small.task(name="plain")
    async def plain() -> int:
        return 7

    async with small, small.running():
        relay = await big.asubmit()
        with pytest.raises(ResultTooLarge, match="at most 100 bytes of JSON, got 202"):
            await relay.aresult()
        with pytest.raises(ResultNotRecorded, match="result: expected a finite number") as caught:
            await (await odd.asubmit()).aresult()
        assert type(caught.value) is ResultNotRecorded
        assert (await app.jobs.get(relay.ref)).state is JobState.COMPLETED
        (run,) = await app.jobs.runs(relay.ref)
        assert run.outcome == "completed"
        job = await plain.aenqueue()
        with pytest.raises(ResultNotRecorded, match="record=True"):
            await until_ended(small, job.id)
        kept = await plain.using(record=True).aenqueue()
        assert await until_ended(small, kept.id) == 7


async def until_ended(app: Elihu, job_id: int) -> Any:
    """The result of a job, waited for only after its end."""
    seen = EventRecorder(app)
    await seen.stored(job_id, {JobState.COMPLETED})
    return await app.relay(job_id).aresult()


async def test_a_job_that_is_not_there_or_vanishes(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    with pytest.raises(JobNotFound):
        await app.relay(99).aresult()
    relay, seen = await double.asubmit(1), EventRecorder(elsewhere)
    waiting = asyncio.create_task(elsewhere.relay(relay.ref).aresult(20))
    await looked(seen)
    await app.jobs.delete(relay.ref)
    with pytest.raises(JobNotFound) as caught:
        await waiting
    assert caught.value.job_id == relay.ref


async def test_a_job_that_is_cancelled_while_it_waits_wakes_who_waits(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    relays = [await double.using(delay=600).asubmit(n) for n in range(3)]
    here, there = EventRecorder(app), EventRecorder(elsewhere)
    waits = [
        asyncio.create_task(elihu.agather(relays, 20)),
        asyncio.create_task(elihu.agather(map(elsewhere.relay, refs(relays)), 20)),
    ]
    await looked(here, 3)
    await looked(there, 3)
    assert await app.jobs.cancel(queue="default") == 3
    for errors in await asyncio.gather(*waits):
        assert [(type(error), error.reason) for error in errors] == [
            (JobCancelled, "cancelled")
        ] * 3


async def test_who_waits_for_a_running_job_learns_that_it_was_cancelled(
    app: Elihu, elsewhere: Elihu
):
    began = asyncio.Event()

    @app.task(name="endless")
    async def endless() -> None:
        began.set()
        await asyncio.Event().wait()

    async with app.running():
        relay = await endless.asubmit()
        await began.wait()
        waiting = asyncio.create_task(elsewhere.relay(relay.ref).aresult(20))
        await looked(EventRecorder(elsewhere))
        await app.jobs.cancel(relay.ref)
        with pytest.raises(JobCancelled):
            await waiting
        with pytest.raises(JobCancelled):
            await relay.aresult()


# failed attempts that are tried again


async def test_a_failed_attempt_ends_the_waiting_unless_it_waits_for_retries(app: Elihu):
    gate = asyncio.Event()

    @app.task(name="t", backoff=0)
    async def t(*, ctx: elihu.Context = elihu.Context()) -> int:
        if ctx.attempt < 3:
            raise Boom(f"attempt {ctx.attempt}")
        await gate.wait()
        return ctx.attempt

    relay = await t.asubmit()
    patient = asyncio.create_task(relay.aresult(20, wait_retries=True))
    async with app.running():
        with pytest.raises(Boom):
            await relay.aresult(20)
        while True:
            try:
                waiting = asyncio.create_task(relay.aresult(20))
                await until_third(app, relay.ref)
                gate.set()
                assert await waiting == 3
                break
            except Boom:
                continue
        assert await patient == 3
        assert await relay.aresult() == 3


async def until_third(app: Elihu, job_id: int) -> None:
    seen = EventRecorder(app)
    while (await app.jobs.get(job_id)).attempt < 3:
        await seen.more()


async def test_a_wait_that_begins_after_a_failure_does_not_count_it(app: Elihu, elsewhere: Elihu):
    @app.task(name="t", backoff=600)
    async def t() -> None:
        raise Boom("once")

    async with app.running():
        relay = await t.asubmit()
        with pytest.raises(Boom):
            await relay.aresult()
        for later in (relay, app.relay(relay.ref), elsewhere.relay(relay.ref)):
            with pytest.raises(RelayTimeout):
                await later.aresult(0.1)
        await app.jobs.retry(relay.ref)
        with pytest.raises((Boom, JobFailed)):
            await relay.aresult()


async def test_a_failure_that_is_told_while_the_next_attempt_runs_does_not_hide_that_ones(
    app: Elihu,
):
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task(name="t", backoff=lambda job, error: 600 if job.attempt == 2 else 0)
    async def t(*, ctx: elihu.Context = elihu.Context()) -> None:
        if ctx.attempt == 2:
            began.release()
            await gate.wait()
        raise Boom(str(ctx.attempt))

    async with app.running():
        relay = await t.asubmit()
        await began.acquire()
        with pytest.raises(Boom, match="1"):
            await relay.aresult(20)
        second = asyncio.create_task(relay.aresult(20))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(Boom, match="2"):
            await second


async def test_waits_of_one_relay_do_not_hide_ends_from_each_other(app: Elihu):
    @app.task(name="t", backoff=600)
    async def t() -> None:
        raise Boom("once")

    async with app.running():
        relay = await t.asubmit()
        watched = relay._watched
        early, late = Waiter(watched, only_job=False), Waiter(watched, only_job=False)
        with pytest.raises(Boom):
            await relay.aresult(20)
        assert watched.since == 1
        assert early.wait == late.wait == (relay.ref, 0, False), "they began before that was known"
        assert Waiter(watched, only_job=False).wait == (relay.ref, 1, False)


async def test_a_snooze_ends_the_waiting_unless_it_waits_for_retries(app: Elihu):
    @app.task(name="t")
    async def t(*, ctx: elihu.Context = elihu.Context()) -> str:
        if (await app.jobs.runs(ctx.job.id))[0].outcome is None:
            raise Snooze(0)
        await told.wait()
        return "late"

    told = asyncio.Event()
    async with app.running():
        relays = [await t.asubmit(), await t.asubmit()]
        patient = asyncio.create_task(relays[1].aresult(20, wait_retries=True))
        with pytest.raises(JobSnoozed):
            await relays[0].aresult(20)
        told.set()
        assert await relays[0].aresult(20) == "late"
        assert await patient == "late"


async def test_a_stopped_node_does_not_end_the_waiting(app: Elihu, double: Task[..., Any]):
    began = asyncio.Semaphore(0)

    @app.task(name="t")
    async def t() -> str:
        began.release()
        if ends:
            return "here"
        await asyncio.Event().wait()
        raise AssertionError

    ends: list[bool] = []
    relay = await t.asubmit()
    waiting = asyncio.create_task(relay.aresult(20))
    node = app._runner.node(None)
    await node.start()
    await began.acquire()
    await node.stop(now=True)
    assert not waiting.done()
    ends.append(True)
    async with app.running():
        assert await waiting == "here"


# the time


async def test_the_job_goes_on_after_the_waiter_timed_out(app: Elihu):
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


# any number of nodes, through the database


async def test_it_works_from_a_process_that_runs_no_node(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    relay = await double.asubmit(21)
    attached = elsewhere.relay(relay.ref)
    waiting, seen = asyncio.create_task(attached.aresult(20)), EventRecorder(elsewhere)
    await looked(seen)
    async with app.running():
        assert await waiting == 42
        assert await elsewhere.relay(relay.ref).aresult() == 42
    assert (attached.job.task, attached.job.args) == ("double", {"n": 21})


async def test_nothing_is_lost_when_an_announcement_is(
    app: Elihu, double: Task[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.runtime.announcer.Announcer.ended", lambda self, ids: None)
    relay, seen = await double.asubmit(21), EventRecorder(app)
    waiting = asyncio.create_task(relay.aresult(20))
    await looked(seen)
    async with app.running():
        assert await waiting == 42


async def test_a_submitted_job_is_told_and_kept_whatever_its_task_says(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    keep_nothing = {
        "retention": {"completed": 0, "discarded": 0, "cancelled": 0},
        "pruner": {"interval": 0.05},
    }
    app.override(**keep_nothing)
    async with app.running():
        relay = await double.using(record=False).asubmit(1)
        seen = EventRecorder(app)
        assert await relay.aresult() == 2
        plain = await double.aenqueue(1)
        await until_gone(app, seen, plain.id)
        assert await relay.aresult() == 2


async def until_gone(app: Elihu, seen: EventRecorder, job_id: int) -> None:
    while await app.jobs.count(ids=job_id):
        pruned = seen.calls("prune")
        await seen.until(lambda: seen.calls("prune") > pruned)  # noqa: B023 (called before the next round)


async def test_who_attaches_while_the_job_runs_gets_its_value(app: Elihu, elsewhere: Elihu):
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task(name="t")
    async def t(value: Any) -> Any:
        began.release()
        await gate.wait()
        return (
            {"odd": float("nan"), "big": "x" * 200}.get(value, value)
            if isinstance(value, str)
            else value
        )

    seen = EventRecorder(elsewhere)
    app.override(**QUICK, max_result=100)
    async with app.running():
        jobs = [await t.aenqueue(value) for value in ([1, "a"], None, "odd", "big")]
        for _ in jobs:
            await began.acquire()
        waiting = asyncio.create_task(elihu.agather([elsewhere.relay(job.id) for job in jobs], 20))
        await looked(seen, 4)
        gate.set()
        listed, nothing, odd, big = await waiting
    assert (listed, nothing) == ([1, "a"], None)
    assert type(odd) is ResultNotRecorded
    assert "finite" in odd.reason
    assert type(big) is ResultTooLarge


async def test_a_unique_job_that_was_there_is_attached_to(app: Elihu, seen: EventRecorder):
    @app.task(name="t", unique=Unique())
    async def t() -> int:
        return 1

    job = await t.aenqueue()
    relay = await t.asubmit()
    assert relay.job.conflict
    assert relay.ref == job.id
    waiting = asyncio.create_task(relay.aresult(20))
    await looked(seen)
    async with app.running():
        assert await waiting == 1


# costs and ends


async def test_thousands_share_one_listener_and_one_query(database_url: str):
    jobs = 1_000
    async with Elihu(database_url, **QUICK | BUSY_MACHINE) as app:
        await app.migrate()
        seen = EventRecorder(app)

        @app.task(name="double")
        async def double(n: int) -> int:
            return 2 * n

        relays = await asyncio.gather(*(double.asubmit(n) for n in range(jobs)))
        waiting = asyncio.gather(*(relay.aresult(40) for relay in relays))
        await looked(seen, jobs)
        async with app.running({"default": 200}):
            assert await waiting == [2 * n for n in range(jobs)]
    assert seen.calls("ends") < jobs / 5
    assert seen.calls("attach") == 0


async def test_no_wait_leaves_anything_behind(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.results.waiters.Waiters.__init__.__kwdefaults__", {"linger": 0.0})
    before = asyncio.all_tasks()
    relay, seen = await double.asubmit(1), EventRecorder(elsewhere)
    with pytest.raises(RelayTimeout):
        await elsewhere.relay(relay.ref).aresult(0.01)
    waiting = [asyncio.create_task(elsewhere.relay(relay.ref).aresult(20)) for _ in range(5)]
    await looked(seen)
    for task in waiting:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 5
    await quiet(before)
    assert len(elsewhere._clients.client().waiters) == 0


async def quiet(before: set[asyncio.Task[Any]]) -> None:
    """Return when no other tasks run than before; fail when they never end."""
    async with asyncio.timeout(10):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left, timeout=0.05)


async def test_closing_the_app_wakes_who_waits(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    before = asyncio.all_tasks()
    relay, seen = await double.asubmit(1), EventRecorder(elsewhere)
    relays = [elsewhere.relay(relay.ref), elsewhere.relay(relay.ref)]
    waiting = asyncio.create_task(relays[0].aresult(None))
    many = asyncio.create_task(elihu.agather(relays, None))
    await looked(seen)
    await elsewhere.aclose()
    with pytest.raises(elihu.DatabaseUnavailable, match="expected an open app"):
        await waiting
    assert [type(error) for error in await many] == [elihu.DatabaseUnavailable] * 2
    await quiet(before)
    async with app.running():
        assert await relays[0].aresult(20) == 2


# synchronous code


async def test_the_synchronous_twins(app: Elihu, double: Task[..., Any]):
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


async def test_a_synchronous_twin_in_a_loop_names_the_right_verb(
    app: Elihu, double: Task[..., Any]
):
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


def refs(relays: list[Relay[Any]]) -> list[int]:
    return [relay.ref for relay in relays]


async def looked(seen: EventRecorder, jobs: int = 1) -> None:
    """Return when so many jobs were looked up and are waited for."""
    await seen.until(
        lambda: any(
            event.service == "relay" and event.data["waiting_count"] >= jobs
            for event in seen.of(Ticked)
        )
    )
