"""The JSON API: a resource a file."""

from typing import Final

from fastapi import APIRouter

from elihu.web.api.account import account
from elihu.web.api.crons import entries
from elihu.web.api.edited import (
    alerts,
    commands,
    crons,
    environments,
    schedules,
    variables,
)
from elihu.web.api.jobs import jobs
from elihu.web.api.output import output
from elihu.web.api.overview import overview
from elihu.web.api.queues import nodes, queues
from elihu.web.api.runs import events, runs
from elihu.web.api.session import router as session
from elihu.web.api.stats import stats
from elihu.web.api.stream import stream
from elihu.web.api.templates import templates
from elihu.web.api.transfer import transfer
from elihu.web.api.users import changes, people, programs

ROUTERS: Final[list[APIRouter]] = [
    session,
    *(
        resource.router
        for resource in (
            overview, environments, commands, crons, schedules, variables, alerts, runs, output,
            events, stream, jobs, queues, nodes, entries, templates, stats,
            people, programs, changes, account, transfer,
        )
    ),
]  # fmt: skip
