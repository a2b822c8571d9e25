"""A filled application, and browsers without scripts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands.models import CommandJob
from elihu.commands.rules import alerts, commands, crons, environments, runs, schedules, variables
from elihu.commands.secrets import new_key
from elihu.orm.sessions import Sessions
from tests.web.conftest import BASE, Clients
from tests.web.pages.reader import Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> \"'&amp; 🦆"
SECRET = "hunter2-is-no-password"


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> AsyncIterator[Elihu]:
    """An app with all tables, a task and a key for secrets."""
    async with Elihu(database_url, schema=schema, secret_key=new_key()) as app:

        @app.task(name="invoices.render")
        async def render(invoice: int = 0, token: str = "") -> int:
            return invoice

        yield app


@dataclass(frozen=True, slots=True)
class Things:
    """One of each kind."""

    command: Any
    environment: Any
    cron: Any
    schedule: Any
    variable: Any
    secret: Any
    alert: Any
    run: CommandJob
    job: int
    template: str


@pytest.fixture
async def things(web: FastAPI, app: Elihu, sessions: Sessions) -> Things:
    """One of each kind, with hostile names and texts."""
    host = web.state.elihu.host
    async with sessions.begin() as session:
        environment = await environments.create(session, name=f"E {HOSTILE}"[:200])
        command = await commands.create(
            session, name=f"C {HOSTILE}", shell_command=f"echo '{HOSTILE}' $SIZE $NOTHING"
        )
        cron = await crons.create(session, name=f"K {HOSTILE}", expression="*/15 * * * *")
        schedule = await schedules.create(
            session, command_id=command.id, environment_ids=[environment.id], cron_ids=[cron.id]
        )
        variable = await variables.create(
            session, host, name="SIZE", value=HOSTILE, description=HOSTILE
        )
        secret = await variables.create(session, host, name="TOKEN", secret=SECRET)
        alert = await alerts.create(
            session, host, name=f"A {HOSTILE}", on=["failed"], channel="email",
            target="ann@example.org",
        )  # fmt: skip
    async with sessions.begin() as session:
        run = await runs.run(session, host, command.id)
    new = app.task_named("invoices.render").build(invoice=7, token=SECRET)
    job = await app.aenqueue(new)
    await app.templates.create(
        code="bill", name=f"T {HOSTILE}", task="invoices.render", schema={"type": "object"}
    )
    return Things(
        command, environment, cron, schedule, variable, secret, alert, run, job.id, "bill"
    )


class Browser:
    """A browser without scripts: it sends forms with the token of its page."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.client.headers["Origin"] = BASE

    async def get(self, path: str, **headers: str) -> Page:
        """A page, redirects followed."""
        answer = await self.client.get(path, headers=headers, follow_redirects=True)
        return Page(answer)

    async def post(self, path: str, *, sent_from: str = "/", **fields: Any) -> Page:
        """The page after a form was sent from the page ``sent_from``."""
        before = await self.get(sent_from)
        token = next((each["content"] for each in before.all("meta", name="csrf-token")), "")
        answer = await self.client.post(
            path,
            data={"csrf": token or ""} | fields,
            headers={"Referer": f"{BASE}{sent_from}"},
            follow_redirects=True,
        )
        return Page(answer)


@pytest.fixture
async def browser(clients: Clients) -> Browser:
    """A browser on this machine, while there are no users."""
    return Browser(await clients())
