"""Retention of runs: by age, and the last so many of a command."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from elihu.commands import pruning
from elihu.commands.models import CommandJob, CommandJobEvent, Output
from elihu.commands.pruning import prune
from elihu.commands.rules import commands
from elihu.orm.columns import new_id
from tests.commands.workshop import Workshop


async def add_runs(workshop: Workshop, number: int, days: float, status: str = "failed") -> None:
    """Store runs of one command that ended so many days ago, with an event and a chunk."""
    command = await workshop.command()
    where = await workshop.environment(f"env {command.name}")
    moment = await workshop.now() - timedelta(days=days)
    async with workshop.sessions.begin() as session:
        for _ in range(number):
            run = CommandJob(
                id=new_id(),
                command_id=command.id,
                command_name=command.name,
                environment_id=where.id,
                environment_name=where.name,
                shell_command="true",
                mode="shell",
                source="now",
                status=status,
                max_attempts=1,
                created_at=moment,
                due_at=moment,
                finished_at=moment if status == "failed" else None,
            )
            session.add(run)
            await session.flush()
            session.add(CommandJobEvent(command_job_id=run.id, attempt=1, status="failed"))
            session.add(
                Output(
                    command_job_id=run.id,
                    attempt=1,
                    sequence=0,
                    stream="stdout",
                    data=b"x",
                    written_at=moment,
                )
            )


async def counts(workshop: Workshop) -> list[int]:
    async with workshop.sessions.read() as session:
        return [
            await session.scalar(select(func.count()).select_from(model)) or 0
            for model in (CommandJob, CommandJobEvent, Output)
        ]


async def test_runs_go_when_their_time_is_over_with_all_that_is_theirs(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PIECE", 2)
    await add_runs(workshop, 5, days=31)
    await add_runs(workshop, 3, days=29)
    await add_runs(workshop, 1, days=99, status="running")
    assert await prune(workshop.host) == 5
    assert await counts(workshop) == [4, 4, 4]
    assert await prune(workshop.host) == 0


async def test_of_a_command_the_last_so_many_stay(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PIECE", 2)
    workshop.app.override(commands={"retention_runs": 4})
    await add_runs(workshop, 9, days=1)
    await add_runs(workshop, 4, days=1)
    before = [run.id for run in await workshop.all()]
    assert await prune(workshop.host) == 5
    assert [run.id for run in await workshop.all()] == before[5:]


async def test_runs_of_a_deleted_command_stay_until_their_time_is_over(
    workshop: Workshop,
) -> None:
    await add_runs(workshop, 2, days=1)
    (first, _) = await workshop.all()
    assert first.command_id is not None
    async with workshop.sessions.begin() as session:
        await commands.delete(session, first.command_id)
    assert await prune(workshop.host) == 0
    assert [run.command_id for run in await workshop.all()] == [None, None]
    workshop.app.override(commands={"retention": 3600})
    assert await prune(workshop.host) == 2
