"""``/api/overview``: what needs a look, what runs, and what runs next."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from elihu import JobState
from elihu.orm.sessions import now
from elihu.web.api.jobs import CountOut
from elihu.web.api.routes import Resource
from elihu.web.api.runs import OneRunOut
from elihu.web.context import Context, context_of
from elihu.web.reads import overview as reads
from elihu.web.reads.beside import beside
from elihu.web.reads.concerns import Concern, find_concerns
from elihu.web.reads.plan import HALF_HOUR

_Jobs = asyncio.Task[Mapping[JobState, Any]]

overview = Resource("/overview", "overview")


class ResultOut(BaseModel):
    """How a run ended."""

    run_id: UUID
    status: str


class ConcernOut(BaseModel):
    """Runs of a command in an environment that ended alike within a day."""

    command_id: UUID | None
    command_name: str
    environment_id: UUID | None
    environment_name: str
    status: str
    reason: str | None
    runs: int
    last_run_id: UUID
    last_at: datetime
    results: list[ResultOut]


class UpcomingOut(BaseModel):
    """A start to come."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    schedule_id: UUID
    command_id: UUID
    command_name: str
    environment_id: UUID
    environment_name: str
    cron_id: UUID
    expression: str


class CountsOut(BaseModel):
    """Figures that change often. ``runs`` are those that have not ended, by status, and
    how many are ``late`` or ``long``. ``failed_today`` are runs of the last 24 hours that
    did not succeed. Numbers end at 10,000.
    """

    runs: dict[str, int]
    failed_today: int
    jobs: dict[JobState, CountOut]


class OverviewOut(BaseModel):
    """The first page."""

    at: datetime
    counts: CountsOut
    concerns: list[ConcernOut]
    running: list[OneRunOut]
    upcoming: list[UpcomingOut]


class AheadOut(BaseModel):
    """Planned starts in each half hour of a day."""

    begin: datetime
    step: int
    starts: list[int]


@overview.get()
async def get_overview(request: Request) -> OverviewOut:
    """What needs a look, what runs, and what runs next."""
    context = context_of(request)
    async with (
        beside(context.app.stats.counts()) as jobs,
        context.sessions.read() as session,
    ):
        moment = await now(session)
        concerns = await find_concerns(session, moment)
        running = await reads.running(session)
        upcoming = await reads.upcoming(session, moment)
        return OverviewOut(
            at=datetime.now(UTC),
            counts=await _counts(session, jobs),
            concerns=[_concern(each) for each in concerns],
            running=[
                OneRunOut.model_validate(run).model_copy(update={"usual_seconds": usual})
                for run, usual in running
            ],
            upcoming=[UpcomingOut.model_validate(each) for each in upcoming],
        )


@overview.get("/ahead")
async def get_ahead(request: Request) -> AheadOut:
    """How many starts are planned in each half hour of the next day."""
    async with context_of(request).sessions.read() as session:
        begin, starts = await reads.ahead(session)
    return AheadOut(begin=begin, step=HALF_HOUR, starts=starts)


async def read_counts(context: Context) -> CountsOut:
    """The figures that change often."""
    async with (
        beside(context.app.stats.counts()) as jobs,
        context.sessions.read() as session,
    ):
        return await _counts(session, jobs)


async def _counts(session: Any, jobs: _Jobs) -> CountsOut:
    return CountsOut(
        runs=await reads.active_counts(session),
        failed_today=await reads.failed_since(session, datetime.now(UTC) - timedelta(days=1)),
        jobs={state: CountOut.model_validate(count) for state, count in (await jobs).items()},
    )


def _concern(found: Concern) -> ConcernOut:
    return ConcernOut(
        command_id=found.command_id,
        command_name=found.command_name,
        environment_id=found.environment_id,
        environment_name=found.environment_name,
        status=found.status,
        reason=found.reason,
        runs=found.runs,
        last_run_id=found.last_run_id,
        last_at=found.last_at,
        results=[ResultOut(run_id=run_id, status=status) for run_id, status in found.results],
    )
