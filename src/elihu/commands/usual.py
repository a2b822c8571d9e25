"""How long commands usually take."""

from collections.abc import Collection
from statistics import median
from typing import Any, Final

from sqlalchemy import Text, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.admission import Pair
from elihu.commands.models import Command, CommandJob, CommandJobEvent, Environment

USUAL_OF: Final = 30
"""The usual duration is the median of so many runs that succeeded."""
PIECE: Final = 200


async def usual_seconds(session: AsyncSession, pair: Pair) -> float | None:
    """The usual duration of a command in an environment, None where none succeeded."""
    return (await usual_of(session, [pair]))[pair]


async def usual_of(session: AsyncSession, pairs: Collection[Pair]) -> dict[Pair, float | None]:
    """``usual_seconds`` of each of these, 200 in one statement."""
    found: dict[Pair, float | None] = dict.fromkeys(pairs)
    wanted = list(found)
    for start in range(0, len(wanted), PIECE):
        rows: Any = await session.execute(durations_of(wanted[start : start + PIECE]))
        for command_id, environment_id, durations in rows:
            if durations:
                usual = median(map(int, durations.split(","))) / 1_000
                found[Pair(command_id, environment_id)] = usual
    return found


def durations_of(pairs: Collection[Pair]) -> Any:
    """Each pair with the durations of its last runs, joined by commas. The runs are found
    first, by their index: the newest events of all commands may be of any other one.
    """
    last = (
        select(CommandJob.id)
        .where(
            CommandJob.command_id == Command.id,
            CommandJob.environment_id == Environment.id,
            CommandJob.status == "succeeded",
        )
        .order_by(CommandJob.id.desc())
        .limit(USUAL_OF)
        .correlate(Command, Environment)
        .subquery()
    )
    durations = (
        select(func.aggregate_strings(cast(CommandJobEvent.duration_ms, Text), ","))
        .join(last, last.c.id == CommandJobEvent.command_job_id)
        .where(CommandJobEvent.status == "succeeded", CommandJobEvent.duration_ms.is_not(None))
        .scalar_subquery()
    )
    return (
        select(Command.id, Environment.id, durations)
        .join_from(Command, Environment, tuple_(Command.id, Environment.id).in_(pairs))
        .where(
            Command.id.in_({pair.command_id for pair in pairs}),
            Environment.id.in_({pair.environment_id for pair in pairs}),
        )
    )
