"""Jobs in the caller's own transaction, on every kind of connection: they exist if and
only if it commits.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from elihu import (
    DataRefused,
    Elihu,
    IdentifierTaken,
    InvalidOption,
    JobState,
    SchemaOutdated,
    Unique,
)
from tests.features.caller import Caller
from tests.features.callers import KINDS
from tests.features.sync_callers import SyncCaller
from tests.features.transactions import CallerHarness


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def harness(
    request: pytest.FixtureRequest, databases: dict[str, str]
) -> AsyncIterator[CallerHarness]:
    caller: Caller = request.param()
    url = databases[caller.engine]
    app = Elihu(url)
    await caller.open(url)
    yield CallerHarness(app, caller)
    await caller.close()
    await app.aclose()


async def test_the_job_exists_if_and_only_if_the_transaction_commits(
    harness: CallerHarness,
) -> None:
    caller, add = harness.caller, harness.add
    await caller.enqueue(add, 1)
    assert await harness.stored() == 0
    await caller.rollback()
    assert await harness.stored() == 0

    first = await caller.enqueue(add, 2)
    await caller.execute("SAVEPOINT mine")
    await caller.enqueue(add, 3)
    await caller.execute("ROLLBACK TO SAVEPOINT mine")
    second = await caller.enqueue(
        add,
        4,
        priority=3,
        expires=30,
        timeout=5,
        tags=["x"],
        meta={"y": [None, "\u2028"]},
        delay=60,
        max_attempts=4,
    )
    third = await caller.enqueue(add, 5, hold=True)
    await caller.commit()

    assert await harness.stored() == 3
    for job in (first, second, third):
        assert await harness.app.jobs.get(job.id) == job
    assert [job.state for job in (first, second, third)] == [
        JobState.AVAILABLE,
        JobState.SCHEDULED,
        JobState.SUSPENDED,
    ]
    assert second.scheduled_at - second.inserted_at == timedelta(seconds=60)
    await add.aenqueue(6)  # the caller's connection keeps no lock
    assert first.args["text"] == "å $1 ? %s :x \\ \U0001f600"


async def test_one_unique_key_in_and_out_of_a_transaction(harness: CallerHarness) -> None:
    caller, one = harness.caller, harness.one
    there = await one.using(expires=60, delay=5).aenqueue(1)
    met = await caller.enqueue(one, 1)
    assert met.conflict
    assert met.id == there.id
    assert met == replace(await harness.app.jobs.get(there.id), conflict=True)
    fresh = await caller.enqueue(one, 2)
    again = await caller.enqueue(one, 2)
    assert (fresh.conflict, again.conflict, again.id) == (False, True, fresh.id)
    daily = Unique(by=("task", "args", "queue"), period="1d", states="all")
    windowed = await caller.enqueue(one, 3, unique=daily)
    assert not windowed.conflict
    assert (await caller.enqueue(one, 3, unique=daily)).id == windowed.id

    new = [one.build(1), harness.add.build(7), one.build(4), one.build(4), harness.add.build(8)]
    done = await caller.enqueue_many(harness.app, new, ids=True)
    assert (done.inserted, done.conflicts) == (3, 2)
    assert done.ids is not None
    assert done.ids[0] == there.id
    assert done.ids[2] == done.ids[3]
    assert len(set(done.ids)) == 4
    await caller.commit()
    assert await harness.stored() == 6
    for id_, job in zip(done.ids, new, strict=True):
        assert (await harness.app.jobs.get(id_)).task == job.task


async def test_a_waiting_holder_is_changed(harness: CallerHarness) -> None:
    caller, one = harness.caller, harness.one
    changing = Unique(
        by=("task", "queue"),
        on_conflict={
            "replace": ["args", "priority", "scheduled_at", "meta", "tags", "max_attempts"]
        },
    )
    there = await one.using(unique=changing, delay=60).aenqueue(1)
    changed = await caller.enqueue(
        one, 2, unique=changing, priority=4, tags=["new"], meta={"m": 1}, max_attempts=3, expires=60
    )
    assert (changed.id, changed.conflict, changed.state, changed.args) == (
        there.id,
        True,
        JobState.AVAILABLE,
        {"number": 2},
    )
    assert (changed.priority, changed.tags, changed.meta, changed.max_attempts) == (
        4,
        ("new",),
        {"m": 1},
        3,
    )
    assert changed.expires_at == changed.scheduled_at + timedelta(seconds=60)
    later = await caller.enqueue(one, 3, unique=changing, delay="1h")
    assert (later.id, later.state, later.args, later.expires_at) == (
        there.id,
        JobState.SCHEDULED,
        {"number": 3},
        None,
    )
    assert await harness.app.jobs.get(there.id) == there
    await caller.commit()
    assert replace(await harness.app.jobs.get(there.id), conflict=True) == later


async def test_a_connection_stays_usable_after_every_refusal(harness: CallerHarness) -> None:
    caller, add = harness.caller, harness.add
    await caller.execute("SELECT 1")
    await caller.enqueue(add, 1)
    taken = replace(add.build(2), identifier=harness.queue)
    there = await caller.enqueue_many(harness.app, [taken], ids=True)
    with pytest.raises(IdentifierTaken) as caught:
        await caller.enqueue_many(harness.app, [add.build(3), taken])
    assert [caught.value.holder] == there.ids
    with pytest.raises(InvalidOption, match="twice in one call"):
        await caller.enqueue_many(harness.app, [replace(add.build(3), identifier="again")] * 2)
    with pytest.raises(DataRefused, match=r"conn: .* refuses a value"):
        await caller.enqueue_many(
            harness.app, [add.build(3), replace(add.build(3), args="no JSON")]
        )
    if caller.engine == "postgres":
        await caller.execute("ALTER TABLE elihu.job RENAME TO hidden")
        with pytest.raises(
            SchemaOutdated,
            match=(
                r'conn: expected the tables of Elihu in schema "elihu", got .*: run '
                r'"elihu migrate"'
            ),
        ):
            await caller.enqueue(add, 4)
        await caller.execute("ALTER TABLE elihu.hidden RENAME TO job")
    await caller.enqueue(add, 5)
    await caller.commit()
    assert sorted(
        job.args["number"] for job in (await harness.app.jobs.list(queue=harness.queue)).items
    ) == [1, 2, 5]


async def test_the_wrong_mixture_names_the_right_call(harness: CallerHarness) -> None:
    prepared = harness.add.using(conn=harness.caller.conn)
    if isinstance(harness.caller, SyncCaller):
        with pytest.raises(
            InvalidOption,
            match=r"conn: expected an asynchronous .*: write task\.using\(conn=…\)\.enqueue\(…\)",
        ):
            await prepared.aenqueue(1)
    else:
        with pytest.raises(
            InvalidOption,
            match=(
                r"conn: expected a synchronous .*: write await "
                r"task\.using\(conn=…\)\.aenqueue\(…\)"
            ),
        ):
            prepared.enqueue(1)
    await harness.caller.commit()
    assert await harness.stored() == 0
