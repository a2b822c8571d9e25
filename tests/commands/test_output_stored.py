"""The output of runs in the database, on good days and bad ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import DatabaseTimeout
from elihu.commands.runner import OutputChunk
from elihu.commands.sink import DatabaseSink
from tests.commands.workshop import Workshop


async def test_a_commit_whose_answer_is_lost_stores_its_chunks_once(
    serving: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await serving.run(
        await serving.command("true"), environment_id=(await serving.environment()).id
    )
    await serving.until(run)
    begin = serving.sessions.begin
    losses = 2

    @asynccontextmanager
    async def losing(**options: Any) -> AsyncIterator[AsyncSession]:
        nonlocal losses
        async with begin(**options) as session:
            yield session
        if losses:
            losses -= 1
            raise DatabaseTimeout("the answer is lost")

    monkeypatch.setattr(serving.sessions, "begin", losing)
    monkeypatch.setattr("elihu.commands.sink.FIRST_PAUSE", 0.01)
    sink = DatabaseSink(serving.host, run.id, 1)
    await sink.write([OutputChunk(0, "stdout", b"one"), OutputChunk(1, "stderr", b" two")])
    await sink.write([OutputChunk(2, "stdout", b" three")])
    assert losses == 0
    assert await serving.text(run.id) == "one two three"


async def test_much_output_is_capped_in_the_database_too(serving: Workshop) -> None:
    command = await serving.command("seq 1 300000", output_limit=200_000)
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    done = await serving.until(run, within=30)
    text = await serving.text(run.id)
    whole = "".join(f"{number}\n" for number in range(1, 300_001))
    assert done.status == "succeeded"
    assert 180_000 < len(text) <= 200_000
    assert done.dropped_bytes == len(whole) - len(text)
    assert text.startswith(whole[:100_000])
    assert whole.endswith(text[100_000:])


RESISTS = "trap '' TERM; echo begins; while :; do sleep 0.05; done"


@pytest.mark.parametrize("verb", ["kill", "cancel"])
async def test_a_command_that_resists_the_end_of_its_job_is_killed(
    serving: Workshop, verb: str
) -> None:
    command = await serving.command(RESISTS)
    run = await serving.run(command, environment_id=(await serving.environment()).id)
    await serving.until_output(run, "begins")
    running = await serving.get(run.id)
    await getattr(serving.app.jobs, verb)(running.job_id)
    done = await serving.until(run)
    assert (done.status, done.signal) == ("killed", 9)
    assert [event.status for event in await serving.events(run.id)] == ["started", "killed"]
