"""What did not succeed: runs that ended alike, grouped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import UNSUCCESSFUL, CommandJob
from elihu.orm.columns import first_id

LATEST: Final = 1_000
GROUPS: Final = 20
RESULTS: Final = 20
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Runs of one command in one environment that ended alike within a day. ``results``
    are the last runs there, newest first.
    """

    command_id: UUID | None
    command_name: str
    environment_id: UUID | None
    environment_name: str
    status: str
    reason: str | None
    runs: int
    last_run_id: UUID
    last_at: datetime
    results: Sequence[tuple[UUID, str]] = ()


async def find_concerns(session: AsyncSession, moment: datetime) -> list[Concern]:
    """What did not succeed within a day before ``moment``, among the latest 1,000, the newest
    first.
    """
    since = moment - DAY
    values = {"since": since, "first": first_id(since)}
    shown: list[Any] = list(await session.execute(_statement(), values))
    results = await _results(session, {_pair(run) for run in shown})
    return [
        Concern(
            command_id=run.command_id,
            command_name=run.command_name,
            environment_id=run.environment_id,
            environment_name=run.environment_name,
            status=run.status,
            reason=run.reason,
            runs=run.runs,
            last_run_id=run.id,
            last_at=run.finished_at or run.created_at,
            results=results.get(_pair(run), ()),
        )
        for run in shown
    ]


@cache
def _statement() -> Any:
    """The groups. An index has the latest runs of each status: what else failed within the
    day is not read.
    """
    columns = (
        CommandJob.id, CommandJob.command_id, CommandJob.command_name,
        CommandJob.environment_id, CommandJob.environment_name, CommandJob.status,
        CommandJob.reason, CommandJob.finished_at, CommandJob.created_at,
    )  # fmt: skip
    parts = []
    for status in UNSUCCESSFUL:
        of_status = (
            select(*columns)
            .where(
                CommandJob.status == status,
                CommandJob.id > bindparam("first"),
                CommandJob.finished_at >= bindparam("since"),
            )
            .order_by(CommandJob.id.desc())
            .limit(LATEST)
            .subquery()
        )
        parts.append(select(of_status))
    found = union_all(*parts).subquery()
    latest = select(found).order_by(found.c.id.desc()).limit(LATEST).subquery()
    alike = (
        latest.c.command_id, latest.c.command_name, latest.c.environment_id, latest.c.status,
        latest.c.reason,
    )  # fmt: skip
    numbered = select(
        latest,
        func.count().over(partition_by=alike).label("runs"),
        func.row_number().over(partition_by=alike, order_by=latest.c.id.desc()).label("place"),
    ).subquery()
    return (
        select(numbered).where(numbered.c.place == 1).order_by(numbered.c.id.desc()).limit(GROUPS)
    )


def _pair(run: Any) -> tuple[UUID | None, UUID | None]:
    return run.command_id, run.environment_id


async def _results(
    session: AsyncSession, pairs: set[tuple[UUID | None, UUID | None]]
) -> dict[tuple[UUID | None, UUID | None], list[tuple[UUID, str]]]:
    """The last runs of each command in its environment, newest first, in one statement."""
    parts = []
    for command_id, environment_id in pairs:
        if command_id is None:
            continue
        last = (
            select(
                CommandJob.id, CommandJob.status, CommandJob.command_id, CommandJob.environment_id
            )
            .where(CommandJob.command_id == command_id, CommandJob.environment_id == environment_id)
            .order_by(CommandJob.id.desc())
            .limit(RESULTS)
            .subquery()
        )
        parts.append(select(last))
    found: dict[tuple[UUID | None, UUID | None], list[tuple[UUID, str]]] = {}
    if parts:
        rows: Any = await session.execute(union_all(*parts))
        for run_id, status, command_id, environment_id in rows:
            found.setdefault((command_id, environment_id), []).append((run_id, status))
    return {pair: sorted(results, reverse=True) for pair, results in found.items()}
