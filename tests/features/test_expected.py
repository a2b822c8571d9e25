"""``expected=``: a change is made only to what is still as it was read."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from elihu import ChangedMeanwhile, CronNotFound, Elihu, InvalidOption, JobNotFound, UnknownTemplate
from elihu.task import Task

SCHEMA: dict[str, Any] = {"type": "object"}


async def test_jobs(app: Elihu, elsewhere: Elihu, add: Task[[int], Any]) -> None:
    read = await app.jobs.get((await add.aenqueue(1)).id)
    changed = await elsewhere.jobs.update(read.id, priority=3, expected=read)
    for change in (
        app.jobs.update(read.id, priority=4, expected=read),
        app.jobs.delete(expected=read),
    ):
        with pytest.raises(ChangedMeanwhile, match=f"job {read.id}: expected what was read"):
            await change
    assert (await app.jobs.get(read.id)) == changed
    with pytest.raises(InvalidOption, match="no ids and no filter"):
        await app.jobs.delete(read.id, expected=changed)
    assert await app.jobs.delete(expected=changed) == 1
    with pytest.raises(JobNotFound):
        await app.jobs.delete(expected=changed)


async def test_cron_entries(app: Elihu, elsewhere: Elihu, add: Task[[int], Any]) -> None:
    read = await app.crons.create("c", "@daily", add, args={"number": 1})
    await app.crons.run_now("c")
    changed = await elsewhere.crons.update("c", priority=3, expected=read)
    await refused(
        CronNotFound,
        lambda: app.crons.update("c", priority=4, expected=read),
        lambda: app.crons.delete("c", expected=read),
        lambda: app.crons.delete("c", expected=changed),
    )


async def test_templates(app: Elihu, elsewhere: Elihu, add: Task[[int], Any]) -> None:
    read = await app.templates.create("t", "T", "add", SCHEMA)
    changed = await elsewhere.templates.update("t", name="U", expected=read)
    await refused(
        UnknownTemplate,
        lambda: app.templates.update("t", name="V", expected=read),
        lambda: app.templates.delete("t", expected=read),
        lambda: app.templates.delete("t", expected=changed),
    )


async def refused(
    absent: type[Exception],
    update: Callable[[], Awaitable[Any]],
    delete: Callable[[], Awaitable[Any]],
    delete_changed: Callable[[], Awaitable[Any]],
) -> None:
    """A change and a deletion of what was read are refused, that of what is stored is not."""
    for change in (update, delete):
        with pytest.raises(ChangedMeanwhile):
            await change()
    await delete_changed()
    for change in (update, delete):
        with pytest.raises(absent):
            await change()
