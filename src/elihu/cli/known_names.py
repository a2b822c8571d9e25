"""The names that an app and its database know, by kind: to complete one that is typed, and
to say which are near an unknown one.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from elihu.app import Elihu

if TYPE_CHECKING:
    from elihu.commands.models import Command, Environment
    from elihu.job import Job

Kind = Literal[
    "queue", "task", "tags", "template", "node", "trigger", "cron", "command", "environment"
]

READ: Final = 1_000
"""So many of the newest jobs, and so many rows of a kind, are read for names."""


async def queues(app: Elihu) -> set[str]:
    """Those that are configured, have stored settings or jobs, or are served."""
    return {*app.config.queues, *(queue.name for queue in await app.queues.list(most=1))}


async def tasks(app: Elihu) -> set[str]:
    """Those of the app, of living nodes and of the newest jobs."""
    found = {*app.task_names(), *(job.task for job in await newest(app))}
    for node in await app.nodes.list():
        names = node.info.get("tasks")
        found |= set(names) if isinstance(names, list) else set()
    return found


async def tags(app: Elihu) -> set[str]:
    """Those of the newest jobs."""
    return {tag for job in await newest(app) for tag in job.tags}


async def templates(app: Elihu) -> set[str]:
    """The codes of stored templates."""
    return {template.code for template in (await app.templates.list(limit=READ)).items}


async def nodes(app: Elihu) -> set[str]:
    """The ids of registered nodes."""
    return {node.id for node in await app.nodes.list()}


async def triggers(app: Elihu) -> set[str]:
    """Those that the app declares."""
    return {trigger.name for trigger in app.triggers}


async def crons(app: Elihu) -> set[str]:
    """The names of stored cron entries."""
    return {entry.name for entry in await app.crons.list()}


async def commands(app: Elihu) -> set[str]:
    """The names of the command scheduler's commands."""
    from elihu.commands.models import Command

    return await _scheduled(app, Command)


async def environments(app: Elihu) -> set[str]:
    """The names of the command scheduler's environments."""
    from elihu.commands.models import Environment

    return await _scheduled(app, Environment)


KNOWN: Final[Mapping[Kind, Callable[[Elihu], Awaitable[set[str]]]]] = {
    "queue": queues,
    "task": tasks,
    "tags": tags,
    "template": templates,
    "node": nodes,
    "trigger": triggers,
    "cron": crons,
    "command": commands,
    "environment": environments,
}


async def newest(app: Elihu) -> "list[Job]":
    """The newest jobs."""
    return (await app.jobs.list(limit=READ)).items


async def _scheduled(app: Elihu, model: "type[Command | Environment]") -> set[str]:
    from elihu.commands.rules.names import names_of
    from elihu.orm.sessions import Sessions

    sessions = Sessions(app)
    try:
        async with sessions.read() as session:
            return set(await names_of(session, model))
    finally:
        await sessions.aclose()
