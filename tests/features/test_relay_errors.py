"""The error that a waiter gets for each way in which a job ends."""

import asyncio
import math
import sys
from typing import Any

import pytest

import elihu
from elihu import (
    Cancel,
    Discard,
    Elihu,
    JobCancelled,
    JobDiscarded,
    JobFailed,
    JobNotFound,
    JobSnoozed,
    JobState,
    ResultNotRecorded,
    ResultTooLarge,
    Retry,
    Snooze,
    Task,
)
from elihu.remote_errors import rebuild
from tests.features.relays import Boom, looked, refs
from tests.support import QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


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
        assert rebuild(name, "x", None) is None
    assert "this" not in sys.modules


async def test_a_result_that_is_not_there_says_why(
    app: Elihu, events: EventRecorder, database_url: str
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
    events = EventRecorder(app)
    await events.stored(job_id, {JobState.COMPLETED})
    return await app.relay(job_id).aresult()


async def test_a_job_that_does_not_exist_or_is_deleted(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    with pytest.raises(JobNotFound):
        await app.relay(99).aresult()
    relay, events = await double.asubmit(1), EventRecorder(elsewhere)
    waiting = asyncio.create_task(elsewhere.relay(relay.ref).aresult(20))
    await looked(events)
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
