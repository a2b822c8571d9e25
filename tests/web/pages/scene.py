"""A plausible set-up for the pictures of the documentation."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from elihu import Elihu
from elihu.commands.rules import commands, crons, environments, history, runs, schedules, variables
from elihu.orm.sessions import Sessions

COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Database backup": (
        "for i in $(seq 1 900); do echo \"pg_dump: dumping contents of table $i\"; sleep 0.1; done",
        {"timeout": 3_600, "max_attempts": 3},
    ),
    "Refresh product feed": (
        "echo fetching; echo 'curl: (6) Could not resolve host: feeds.example' >&2; exit 6", {},
    ),
    "Sync exchange rates": ("echo 31 rates stored; sleep 0.3", {"overlap": "queue_one"}),
    "Disk usage report": ("df -h /", {}),
    "Renew TLS certificates": ("sleep 3", {"timeout": 1}),
}  # fmt: skip
CRONS = {
    "Twice a day": "0 2,14 * * *", "Hourly": "5 * * * *", "Every 15 minutes": "*/15 * * * *",
    "Working mornings": "30 7 * * 1-5",
}  # fmt: skip
PLACES = {
    "Database backup": (("production",), ("Twice a day",)),
    "Refresh product feed": (("production", "staging"), ("Every 15 minutes",)),
    "Sync exchange rates": (("production", "staging"), ("Hourly",)),
    "Disk usage report": (("staging",), ("Working mornings", "Hourly")),
}


@dataclass(slots=True)
class Scene:
    """Ids by name, and which page is in which picture."""

    commands: dict[str, UUID]
    environments: dict[str, UUID]
    pictures: dict[str, str] = field(default_factory=dict)


async def fill(app: Elihu, host: Any, sessions: Sessions) -> Scene:
    """Commands, environments, crons, schedules, variables and jobs."""
    async with sessions.begin() as session:
        places = {
            name: (await environments.create(session, name=name)).id
            for name in ("production", "staging")
        }
        made = {
            name: (await commands.create(session, name=name, shell_command=text, **options)).id
            for name, (text, options) in COMMANDS.items()
        }
        times = {
            name: (
                await crons.create(session, name=name, expression=text, timezone="Europe/Oslo")
            ).id
            for name, text in CRONS.items()
        }
        for name, (where, when) in PLACES.items():
            await schedules.create(
                session, command_id=made[name], environment_ids=[places[each] for each in where],
                cron_ids=[times[each] for each in when],
            )  # fmt: skip
        await variables.create(session, host, name="DATABASE_URL", secret="postgres://elsewhere")
        await variables.create(session, host, name="BUCKET", value="nordvare")
    for number in range(12):
        await app.aenqueue(app.task_named("invoices.render").build(invoice=number))
    return Scene(made, places)


async def play(scene: Scene, host: Any, sessions: Sessions) -> None:
    """Run some of it, and wait until the short ones have ended."""
    latest = None
    for name in ("Sync exchange rates", "Disk usage report", "Refresh product feed",
                 "Renew TLS certificates", "Refresh product feed", "Database backup"):  # fmt: skip
        async with sessions.begin() as session:
            latest = await runs.run(
                session, host, scene.commands[name],
                environment_id=scene.environments["production"], force=True,
            )  # fmt: skip
    async with asyncio.timeout(30):
        while True:
            async with sessions.read() as session:
                page = await history.find_all(session, statuses=("queued", "running"))
            if len(page.items) == 1:
                break
            await asyncio.sleep(0.2)
    assert latest is not None
    scene.pictures |= {
        "overview": "/", "runs": "/runs", "run": f"/runs/{latest.id}", "commands": "/commands",
        "command": f"/commands/{scene.commands['Database backup']}", "schedules": "/schedules",
        "jobs": "/jobs",
    }  # fmt: skip
