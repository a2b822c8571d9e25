"""The JSON API: a resource a file."""

from typing import Final

from fastapi import APIRouter

from elihu.web.api.crons import entries
from elihu.web.api.jobs import jobs
from elihu.web.api.queues import nodes, queues
from elihu.web.api.session import router as session
from elihu.web.api.stats import stats
from elihu.web.api.templates import templates
from elihu.web.api.users import changes, people, programs

ROUTERS: Final[list[APIRouter]] = [
    session,
    *(
        resource.router
        for resource in (
            people, programs, changes, jobs, queues, nodes, entries, templates, stats,
        )
    ),
]  # fmt: skip
