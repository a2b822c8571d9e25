"""System checks of a project's settings, queues and tables."""

import sys
from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections

from elihu.contrib.django.project import ProjectApp, project_app
from elihu.contrib.django.tables import stored_version


def register() -> None:
    """Register all checks."""
    checks.register(check_settings, "elihu")
    checks.register(check_queues, "elihu")
    checks.register(check_tables, checks.Tags.database)


def check_settings(**_options: Any) -> list[checks.CheckMessage]:
    """Whether ``settings.ELIHU`` and the database that it names can be used."""
    refusal = project_app().refusal
    return [checks.Error(refusal, id="elihu.E001")] if refusal else []


def check_queues(**_options: Any) -> list[checks.CheckMessage]:
    """Whether a node serves the queue of each task."""
    app = project_app()
    if app.refusal is not None or not app.config.require_queues:
        return []
    return [
        checks.Warning(
            f"Queue {queue!r} of task {name!r} is served by no node.",
            hint=f'Add it to "queues" in settings.ELIHU: {{"queues": {shown}}}.',
            id="elihu.W001",
        )
        for name, queue, shown in unserved(app)
    ]


def unserved(app: ProjectApp) -> list[tuple[str, str, str]]:
    """The tasks whose queue the settings do not have: name, queue, and queues with it."""
    found = []
    for name in app.task_names():
        queue = app.task_named(name).options.queue
        if queue not in app.config.queues:
            found.append((name, queue, repr({**app.config.queues, queue: 10})))
    return found


def check_tables(*, databases: Sequence[str] | None = None, **_options: Any) -> list[Any]:
    """Whether the tables are there and new enough. ``migrate`` runs this check before it
    makes them, and then gets no answer.
    """
    app = project_app()
    if (
        sys.argv[1:2] == ["migrate"]
        or app.refusal is not None
        or app.database not in (databases or ())
    ):
        return []
    needed = app.tables.steps()[-1].version
    version = stored_version(connections[app.database])
    if version >= needed:
        return []
    got = f"version {version}" if version else "none"
    return [
        checks.Warning(
            f"The database {app.database!r} needs tables of Elihu of version {needed}, got {got}.",
            hint='Run "manage.py migrate".',
            id="elihu.W002",
        )
    ]
