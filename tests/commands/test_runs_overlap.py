"""The rule of overlap between runs: of those that start now, and of delayed ones."""

import pytest

from elihu import InvalidFields
from elihu.commands.models import CommandJob, Overlap
from elihu.commands.rules import commands, environments, runs
from tests.commands.workshop import Workshop, until

FOREVER = "echo begun; exec sleep 300"


async def overlapping(serving: Workshop, overlap: Overlap, number: int = 3) -> list[CommandJob]:
    """The first run, which is under way, and further ones."""
    command = await serving.command(FOREVER, overlap=overlap)
    where = await serving.environment()
    first = await serving.run(command, environment_id=where.id)
    await serving.until_output(first, "begun")
    return [first] + [
        await serving.run(command, environment_id=where.id) for _ in range(number - 1)
    ]


async def statuses(serving: Workshop, rows: list[CommandJob]) -> list[str]:
    return [(await serving.get(row.id)).status for row in rows]


async def test_overlap_skip(serving: Workshop) -> None:
    rows = await overlapping(serving, "skip")
    assert await statuses(serving, rows) == ["running", "skipped", "skipped"]
    assert rows[1].reason == "an earlier run has not ended"
    await serving.kill(rows[0])
    await serving.until(rows[0])


async def test_overlap_queue_one(serving: Workshop) -> None:
    rows = await overlapping(serving, "queue_one")
    assert await statuses(serving, rows) == ["running", "queued", "skipped"]
    assert rows[1].job_id is None
    await serving.kill(rows[0])
    await serving.until(rows[1], {"running"})
    assert (await serving.get(rows[0].id)).status == "killed"
    await serving.kill(rows[1])
    await serving.until(rows[1])


async def test_overlap_queue_all(serving: Workshop) -> None:
    rows = await overlapping(serving, "queue_all")
    assert await statuses(serving, rows) == ["running", "queued", "queued"]
    assert (await serving.kill(rows[1])).status == "cancelled"
    await serving.kill(rows[0])
    await serving.until(rows[2], {"running"})
    await serving.kill(rows[2])
    await serving.until(rows[2])
    assert await statuses(serving, rows) == ["killed", "cancelled", "killed"]


async def test_overlap_cancel_running(serving: Workshop) -> None:
    rows = await overlapping(serving, "cancel_running")
    await serving.until(rows[2], {"running"})
    assert await statuses(serving, rows) == ["killed", "cancelled", "running"]
    assert (await serving.get(rows[0].id)).reason == "a later run took its place"
    assert (await serving.get(rows[1].id)).reason == "a later run took its place"
    await serving.kill(rows[2])
    await serving.until(rows[2])


async def test_overlap_allow_and_forced(serving: Workshop) -> None:
    rows = await overlapping(serving, "allow", 2)
    await serving.until(rows[1], {"running"})
    assert await statuses(serving, rows) == ["running", "running"]
    skipping = await serving.command(FOREVER)
    where = await serving.environment("other")
    pair = [
        await serving.run(skipping, environment_id=where.id),
        await serving.run(skipping, environment_id=where.id, force=True),
    ]
    await serving.until(pair[1], {"running"})
    for row in [*rows, *pair]:
        await serving.kill(row)
        await serving.until(row)


async def test_what_a_run_needs_stays_until_it_has_ended(workshop: Workshop) -> None:
    command = await workshop.command(overlap="queue_all")
    where = await workshop.environment()
    rows = [await workshop.run(command, environment_id=where.id) for _ in range(2)]
    for rule, record in ((commands.delete, command.id), (environments.delete, where.id)):
        with pytest.raises(InvalidFields, match="has not ended: kill it first"):
            async with workshop.sessions.begin() as session:
                await rule(session, record)
    for row in reversed(rows):
        await workshop.kill(row)
    async with workshop.sessions.begin() as session:
        await environments.delete(session, where.id)
        await commands.delete(session, command.id)
    assert [row.command_name for row in await workshop.all()] == 2 * [command.name]


async def test_another_environment_is_not_overlapped(workshop: Workshop) -> None:
    command = await workshop.command()
    rows = [
        await workshop.run(command, environment_id=(await workshop.environment(name)).id)
        for name in ("a", "b")
    ]
    assert [row.status for row in rows] == ["queued", "queued"]


async def test_a_delayed_run_meets_the_rule_of_overlap_when_it_is_due(serving: Workshop) -> None:
    command = await serving.command(FOREVER)
    where = await serving.environment()
    async with serving.sessions.begin() as session:
        later = await runs.run_in(
            session, serving.host, command.id, delay_seconds=1, environment_id=where.id
        )
    assert (later.status, later.source, later.admitted) == ("queued", "later", False)
    assert (later.due_at - later.created_at).total_seconds() == 1
    first = await serving.run(command, environment_id=where.id)
    assert first.status == "queued"
    done = await serving.until(later)
    assert (done.status, done.reason) == ("skipped", "an earlier run has not ended")
    await serving.kill(first)
    await serving.until(first)


@pytest.mark.parametrize("overlap", ["queue_one", "cancel_running"])
async def test_a_delayed_run_waits_or_takes_the_place_of_others(
    serving: Workshop, overlap: Overlap
) -> None:
    command = await serving.command(FOREVER, overlap=overlap)
    where = await serving.environment()
    first = await serving.run(command, environment_id=where.id)
    async with serving.sessions.begin() as session:
        later = await runs.run_in(
            session, serving.host, command.id, delay_seconds=1, environment_id=where.id
        )
    await serving.until_output(first, "begun")
    if overlap == "queue_one":

        async def waits() -> bool:
            return (await serving.get(later.id)).admitted

        await until(waits)
        assert await statuses(serving, [first, later]) == ["running", "queued"]
        await serving.kill(first)
    await serving.until(later, {"running"})
    assert (await serving.get(first.id)).status == "killed"
    await serving.kill(later)
    await serving.until(later)
