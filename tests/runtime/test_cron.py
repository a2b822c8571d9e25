"""Cron: what is due becomes jobs, on the leader only, each tick once, whatever happens
to leaders.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import CronEntry, Elihu
from elihu.engines.protocol.crons import CronRow
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.job import JobFilter, NewJob
from elihu.runtime.leader.cron import Cron, Rounds, declare
from elihu.runtime.leader.election import Leader
from elihu.task import Timetable
from elihu.telemetry.events import (
    CronFailed,
    CronFired,
    CronSkipped,
    EngineCalled,
    JobStopped,
    Ticked,
)
from elihu.triggers import Tasks
from tests.engines.raw import Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder

HOUR = timedelta(hours=1)


def declared(cron: str = "0 * * * *", *, name: str = "c", **options: Any) -> Tasks:
    tasks = Tasks()

    @tasks.cron(cron, name=name, **options)
    @tasks.task(name=f"task of {name}")
    async def fired() -> None: ...

    return tasks


def timetable_of(*groups: Tasks) -> Timetable:
    timetable = Timetable()
    for group in groups:
        timetable.add(*group.timetable)
    return timetable


async def service(harness: NodeHarness, *groups: Tasks) -> Cron:
    """On a node that leads."""
    leader = Leader(harness.scope)
    await leader.tick()
    assert leader.is_leader
    await declare(harness.engine, timetable_of(*groups))
    return Cron(harness.scope, leader, timetable_of(*groups))


async def settled_ago(harness: NodeHarness, raw: Raw, ago: timedelta, name: str = "c") -> None:
    """Move what the entry is settled up to into the past: so long did nothing run."""
    assert await raw.execute(
        f"UPDATE cron SET last_tick = {raw.moment(ago.total_seconds())} WHERE name = %s RETURNING "
        "1",
        name,
    )


async def row(harness: NodeHarness, name: str = "c") -> CronRow:
    (found,) = (await harness.engine.crons([name])).rows
    return found


async def jobs(harness: NodeHarness) -> int:
    return await harness.engine.count(JobFilter())


async def test_an_entry_of_this_moment_has_missed_nothing(harness: NodeHarness):
    cron = await service(harness, declared("* * * * *"))
    tick = await cron.tick()
    assert tick.data == {"fired_count": 0}
    assert await jobs(harness) == 0


def reads(harness: NodeHarness) -> int:
    """How often the entries were read."""
    return [event.verb for event in harness.of(EngineCalled)].count("crons")


async def test_entries_that_a_heartbeat_finds_unchanged_are_not_read(
    harness: NodeHarness, raw: Raw
):
    cron = await service(harness, declared(queue="default"))

    async def read(digest: str | None, now: float) -> int:
        """How often the tick after a heartbeat reads the entries."""
        cron.heartbeat_read(digest, now)
        before = reads(harness)
        await cron.tick()
        return reads(harness) - before

    now = harness.clock.time + 7.0
    assert await read("one", now) == 1, "they may have changed before the heartbeat"
    assert await read("one", now) == 0
    assert await read("two", now) == 1
    assert await read("two", now) == 0
    assert await read("two", now + 1) == 1, "the database's clock was set"
    cron.receive(Signal(SignalKind.CRON))
    assert await read("two", now + 1) == 1, "a change was announced"
    assert await read(None, now + 1) == 1
    assert await read("two", now + 1) == 1
    harness.clock.time += 1.6 * harness.config.poll
    before = reads(harness)
    await cron.tick()
    assert reads(harness) == before + 1, "no heartbeat has answered since"


async def test_an_entry_is_read_when_it_is_due_whatever_heartbeats_find(
    harness: NodeHarness, raw: Raw
):
    cron = await service(harness, declared(queue="default"))
    cron.heartbeat_read("one", harness.clock.time)
    await cron.tick()
    before = reads(harness)
    await settled_ago(harness, raw, HOUR)
    for _ in range(2):
        harness.clock.time += 3_600
        await cron._leader.tick()
        cron.heartbeat_read("one", harness.clock.time)
        await cron.tick()
    assert reads(harness) == before + 2
    assert await jobs(harness) == 1


async def test_an_entry_that_fails_is_tried_again_at_each_poll(harness: NodeHarness, raw: Raw):
    cron = await service(harness, declared(queue="default"))
    await settled_ago(harness, raw, HOUR)
    fire = harness.engine.fire_cron

    async def refuse(*args: object) -> None:
        raise RuntimeError("refused")

    cron.heartbeat_read("one", harness.clock.time)
    harness.engine.fire_cron = refuse  # type: ignore[method-assign, assignment]
    assert (await cron.tick()).data == {"fired_count": 0}
    harness.engine.fire_cron = fire  # type: ignore[method-assign]
    assert (await cron.tick()).data == {"fired_count": 1}


async def test_a_tick_that_is_due_becomes_a_job_once(harness: NodeHarness, raw: Raw):
    cron = await service(harness, declared(queue="default"))
    await settled_ago(harness, raw, HOUR)
    assert [(await cron.tick()).data["fired_count"] for _ in range(3)] == [1, 0, 0]
    now = (await harness.engine.crons()).now
    (job,) = (await harness.engine.find(JobFilter(), None, 10)).items
    assert (job.task, job.queue, job.state) == ("task of c", "default", "available")
    assert job.scheduled_at == now.replace(minute=0, second=0, microsecond=0)
    assert harness.announced() == ["default"]
    (event,) = harness.of(CronFired)
    assert (event.node, event.cron, event.at, event.job_id, event.conflict) == (
        harness.node,
        "c",
        job.scheduled_at,
        job.id,
        False,
    )


@pytest.mark.parametrize(("catch_up", "number", "skipped"), [("last", 1, 1), ("all", 5, 0)])
async def test_what_was_missed_is_made_up_for(
    harness: NodeHarness, raw: Raw, catch_up: str, number: int, skipped: int
):
    cron = await service(harness, declared(catch_up=catch_up))
    await settled_ago(harness, raw, 5 * HOUR)
    assert [(await cron.tick()).data["fired_count"] for _ in range(2)] == [number, 0]
    assert len(harness.of(CronSkipped)) == skipped
    assert len({event.at for event in harness.of(CronFired)}) == number


async def test_nothing_missed_is_made_up_for_with_none(harness: NodeHarness, raw: Raw):
    at = (datetime.now(UTC) - timedelta(minutes=10)).replace(second=0, microsecond=0)
    cron = await service(harness, declared(f"{at.minute} * * * *", catch_up="none"))
    await settled_ago(harness, raw, 3 * HOUR)
    assert (await cron.tick()).data == {"fired_count": 0}
    assert [event.until for event in harness.of(CronSkipped)] == [at]
    assert (await row(harness)).last_tick == at


async def test_at_most_a_hundred_are_made_up_for(harness: NodeHarness, raw: Raw):
    cron = await service(harness, declared("* * * * *", catch_up="all"))
    await settled_ago(harness, raw, 24 * HOUR)
    assert (await cron.tick()).data == {"fired_count": 100}
    assert (await cron.tick()).data["fired_count"] <= 1


async def test_sleeps_until_an_entry_is_due_and_no_longer_than_a_poll(
    harnesses: HarnessFactory, raw: Raw
):
    harness = await harnesses(poll="1h")
    soon, later = declared("* * * * *", name="soon"), declared("0 0 1 1 *", name="later")
    cron = await service(harness, soon, later)
    delay = (await cron.tick()).delay
    assert 0 < delay <= 60
    assert 0 < (await (await service(harness)).tick()).delay <= 3_600


async def test_a_follower_fires_nothing_and_looks_again_soon(harnesses: HarnessFactory, raw: Raw):
    harness, other = await harnesses(), await harnesses()
    await service(harness, declared())
    await settled_ago(harness, raw, HOUR)
    follower = Leader(other.scope)
    await follower.tick()
    tick = await Cron(other.scope, follower, timetable_of(declared())).tick()
    assert tick.data == {"fired_count": 0}
    assert tick.delay <= 1
    assert await jobs(harness) == 0


async def test_two_that_take_themselves_for_leaders_fire_a_tick_once(
    harnesses: HarnessFactory, raw: Raw
):
    harness, other = await harnesses(), await harnesses()
    await service(harness, declared())
    await settled_ago(harness, raw, HOUR)
    rounds = [Rounds(each.engine, timetable_of(declared()), each.bus) for each in (harness, other)]
    entries = await harness.engine.crons()
    fired = [
        await each.fire(node) for each, node in zip(rounds, (harness.node, other.node), strict=True)
    ]
    assert [each.jobs for each in fired] == [1, 0]
    (stale,) = entries.rows
    until = stale.last_tick + HOUR
    assert await other.engine.fire_cron(stale, [(until, NewJob(task="t"))], until) is None
    assert await jobs(harness) == 1


async def test_a_new_leader_continues_where_the_last_one_was(harnesses: HarnessFactory, raw: Raw):
    harness, other = await harnesses(), await harnesses()
    first = await service(harness, declared())
    await settled_ago(harness, raw, HOUR)
    await first.tick()
    await harness.engine.resign(harness.node)
    second = await service(other, declared())
    assert (await second.tick()).data == {"fired_count": 0}
    await settled_ago(harness, raw, HOUR)
    await raw.execute("DELETE FROM cron_tick")
    assert (await second.tick()).data == {"fired_count": 1}


async def test_fires_what_living_nodes_declare_and_what_was_made_at_run_time(
    harnesses: HarnessFactory, raw: Raw
):
    harness, other = await harnesses(dead_after=3_600), await harnesses()
    cron = await service(harness)
    await declare(harness.engine, timetable_of(declared(name="theirs"), declared(name="nobody's")))
    await other.engine.update_node_info(other.node, {"crons": {"theirs": "1"}})
    values = '{"cron":"0 * * * *","tz":"UTC","catch_up":"last","task":"t"}'
    await harness.engine.create_cron("made", values, False)
    await harness.engine.create_cron("paused", values, True)
    for name in ("theirs", "nobody's", "made", "paused"):
        await settled_ago(harness, raw, HOUR, name)
    assert (await cron.tick()).data == {"fired_count": 2}
    assert {event.cron for event in harness.of(CronFired)} == {"theirs", "made"}


async def test_one_bad_entry_stops_nothing_and_is_logged_once(
    harness: NodeHarness, raw: Raw, caplog: pytest.LogCaptureFixture
):
    cron = await service(harness, declared())
    await harness.engine.create_cron(
        "a bad text", '{"cron":"nonsense","tz":"UTC","catch_up":"last","task":"t"}', False
    )
    await harness.engine.create_cron(
        "bad job",
        '{"cron":"0 * * * *","tz":"UTC","catch_up":"last","task":"t","priority":99}',
        False,
    )
    for name, more in {
        "bad key": '"unique_key":"zz"',
        "bad tags": '"tags":7',
        "bad options": '"queue":null',
    }.items():
        await harness.engine.create_cron(
            name, f'{{"cron":"0 * * * *","tz":"UTC","catch_up":"last","task":"t",{more}}}', False
        )
    await harness.engine.create_cron("bad values", '["cron"]', False)
    await harness.engine.create_cron("by hand", "{}", False)
    bad = ["a bad text", "bad job", "bad key", "bad options", "bad tags", "bad values", "by hand"]
    for name in [*bad, "c"]:
        await settled_ago(harness, raw, HOUR, name)
    assert (await cron.tick()).data == {"fired_count": 1}
    await cron.tick()
    assert [event.cron for event in harness.of(CronFailed)] == bad
    assert caplog.text.count("cannot be fired") == len(bad)
    await harness.engine.change_cron(
        "a bad text", 0, '{"cron":"0 * * * *"}', paused=False, anew=False
    )
    assert (await cron.tick()).data == {"fired_count": 1}


async def test_one_that_lost_the_lead_ends_its_round(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    cron = await service(harness, declared(name="a"), declared(name="b"))
    for name in "ab":
        await settled_ago(harness, raw, HOUR, name)
    fire = harness.engine.fire_cron

    async def slow(*arguments: Any) -> Any:
        harness.clock.time += harness.config.lease
        return await fire(*arguments)

    monkeypatch.setattr(harness.engine, "fire_cron", slow)
    assert (await cron.tick()).data == {"fired_count": 1}


async def test_reboot_is_fired_once_for_each_first_node(harnesses: HarnessFactory, raw: Raw):
    harness = await harnesses()
    await harness.engine.deregister_node(harness.node)
    tasks = declared("@reboot")
    cron = await service(harness, tasks)
    assert (await cron.tick()).data == {"fired_count": 0}
    await harness.engine.register_node(harness.node, "node", {})
    assert [(await cron.tick()).data["fired_count"] for _ in range(2)] == [1, 0]
    await harnesses()
    assert (await cron.tick()).data == {"fired_count": 0}


async def test_an_entry_fires_on_a_running_node_and_a_signal_wakes_it(
    app: Elihu, events: EventRecorder, raw: Raw
):
    @app.cron("0 0 1 1 *")
    @app.task(name="yearly")
    async def yearly() -> None: ...

    @app.cron("@reboot")
    @app.task(name="first")
    async def first() -> None: ...

    app.override(poll="1h", poll_fallback="1h")
    async with app.running() as node:
        await events.until(lambda: [event.task for event in events.of(JobStopped)] == ["first"])
        entries: list[CronEntry] = await app.crons.list()
        assert [(entry.name, entry.fires, entry.source) for entry in entries] == [
            ("first", True, "code"),
            ("yearly", True, "code"),
        ]
        await events.until(
            lambda: any(
                event.service == "cron" and event.data["fired_count"] for event in events.of(Ticked)
            )
        )
        looks = sum(event.service == "cron" for event in events.of(Ticked))
        await app.crons.pause("yearly")
        await events.until(
            lambda: sum(event.service == "cron" for event in events.of(Ticked)) > looks
        )
        (info,) = [row.info for row in await app.nodes.list() if row.id == node.id]
        assert isinstance(info["crons"], dict)
        assert info["crons"].keys() == {"first", "yearly"}
