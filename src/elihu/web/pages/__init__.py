"""The pages: HTML by the server, from the same reads and rules as the API."""

from typing import Final

from fastapi import APIRouter

from elihu.web.pages import (
    commands,
    crontab,
    engine,
    entries,
    job,
    job_templates,
    jobs,
    kept,
    overview,
    people,
    run,
    runs,
    schedules,
    session,
    static_files,
)

ROUTERS: Final[list[APIRouter]] = [
    module.router
    for module in (
        static_files, session, overview, runs, run, commands, kept, crontab, schedules, jobs, job,
        engine, entries, job_templates, people,
    )
]  # fmt: skip
