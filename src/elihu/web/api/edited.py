"""``/api/environments``, ``commands``, ``crons``, ``schedules``, ``variables``, ``alerts``."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from elihu.accounts import audit
from elihu.accounts.roles import Role
from elihu.commands.rules import alerts as alert_rules
from elihu.commands.rules import commands as command_rules
from elihu.commands.rules import crons as cron_rules
from elihu.commands.rules import environments as environment_rules
from elihu.commands.rules import schedules as schedule_rules
from elihu.commands.rules import variables as variable_rules
from elihu.web.api import models
from elihu.web.api.editing import Kind, RecordId, add_routes, shown_page
from elihu.web.api.paging import Limit, Page
from elihu.web.api.queues import Done
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

environments = Resource("/environments", "environments")
commands = Resource("/commands", "commands")
crons = Resource("/crons", "crons")
schedules = Resource("/schedules", "schedules")
variables = Resource("/variables", "variables")
alerts = Resource("/alerts", "alerts")

ENVIRONMENT = Kind(
    name="environment",
    rules=environment_rules,
    shown=models.EnvironmentOut.model_validate,
    shown_type=models.EnvironmentOut,
    created=models.EnvironmentIn,
    change=models.EnvironmentChange,
)
COMMAND = Kind(
    name="command",
    rules=command_rules,
    shown=models.CommandOut.model_validate,
    shown_type=models.CommandOut,
    created=models.CommandIn,
    change=models.CommandChange,
)
CRON = Kind(
    name="cron",
    rules=cron_rules,
    shown=models.CronOut.model_validate,
    shown_type=models.CronOut,
    created=models.CronIn,
    change=models.CronChange,
)
SCHEDULE = Kind(
    name="schedule",
    rules=schedule_rules,
    shown=models.ScheduleOut.model_validate,
    shown_type=models.ScheduleOut,
    created=models.ScheduleIn,
    change=models.ScheduleChange,
)
VARIABLE = Kind(
    name="variable",
    rules=variable_rules,
    shown=models.VariableOut.model_validate,
    shown_type=models.VariableOut,
    created=models.VariableIn,
    change=models.VariableChange,
    needs_host=True,
)
ALERT = Kind(
    name="alert",
    rules=alert_rules,
    shown=models.alert_out,
    shown_type=models.AlertOut,
    created=models.AlertIn,
    change=models.AlertChange,
    needs_host=True,
)

Search = Annotated[str | None, Query(max_length=200, description="Part of a text.")]


@environments.get(response_model=Page[models.EnvironmentOut])
async def list_environments(
    request: Request, enabled: bool | None = None, after: UUID | None = None, limit: Limit = 100
) -> object:
    """Environments, oldest first."""
    async with context_of(request).sessions.read() as session:
        page = await environment_rules.find_all(session, enabled=enabled, after=after, limit=limit)
        return shown_page(ENVIRONMENT, page.items, page.next)


@environments.get("/{id}/variables")
async def list_seen_variables(request: Request, record_id: RecordId) -> Page[models.SeenOut]:
    """The variables that a command sees in an environment, secrets masked."""
    async with context_of(request).sessions.read() as session:
        found = await variable_rules.seen_by(session, record_id)
        return Page(items=[models.SeenOut.model_validate(each) for each in found])


@commands.get(response_model=Page[models.CommandOut])
async def list_commands(
    request: Request,
    enabled: bool | None = None,
    text: Search = None,
    after: UUID | None = None,
    limit: Limit = 100,
) -> object:
    """Commands, oldest first; with ``text`` those whose name or command has it."""
    async with context_of(request).sessions.read() as session:
        page = await command_rules.find_all(
            session, enabled=enabled, text=text, after=after, limit=limit
        )
        return shown_page(COMMAND, page.items, page.next)


@crons.get(response_model=Page[models.CronOut])
async def list_crons(
    request: Request, enabled: bool | None = None, after: UUID | None = None, limit: Limit = 100
) -> object:
    """Crons, oldest first."""
    async with context_of(request).sessions.read() as session:
        page = await cron_rules.find_all(session, enabled=enabled, after=after, limit=limit)
        return shown_page(CRON, page.items, page.next)


@crons.post("/preview", role=Role.VIEW)
async def preview_cron(request: Request, given: models.PreviewIn) -> models.PreviewOut:
    """What an expression means, and the next times at which it fires."""
    return models.PreviewOut.model_validate(cron_rules.preview(**given.model_dump()))


@schedules.get(response_model=Page[models.ScheduleOut])
async def list_schedules(
    request: Request,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
    cron_id: UUID | None = None,
    enabled: bool | None = None,
    after: UUID | None = None,
    limit: Limit = 100,
) -> object:
    """Schedules, oldest first."""
    async with context_of(request).sessions.read() as session:
        page = await schedule_rules.find_all(
            session, command_id=command_id, environment_id=environment_id, cron_id=cron_id,
            enabled=enabled, after=after, limit=limit,
        )  # fmt: skip
        return shown_page(SCHEDULE, page.items, page.next)


@variables.get(response_model=Page[models.VariableOut])
async def list_variables(
    request: Request,
    name: Search = None,
    environment_id: UUID | None = None,
    after: UUID | None = None,
    limit: Limit = 100,
) -> object:
    """Variables, oldest first. Secrets are not shown."""
    async with context_of(request).sessions.read() as session:
        page = await variable_rules.find_all(
            session, name=name, environment_id=environment_id, after=after, limit=limit
        )
        return shown_page(VARIABLE, page.items, page.next)


@alerts.get(response_model=Page[models.AlertOut])
async def list_alerts(
    request: Request, enabled: bool | None = None, after: UUID | None = None, limit: Limit = 100
) -> object:
    """Alerts, oldest first."""
    async with context_of(request).sessions.read() as session:
        page = await alert_rules.find_all(session, enabled=enabled, after=after, limit=limit)
        return shown_page(ALERT, page.items, page.next)


@alerts.post("/{id}/test", role=Role.EDIT)
async def test_alert(request: Request, actor: CurrentActor, record_id: RecordId) -> Done:
    """Send a test."""
    context = context_of(request)
    async with context.sessions.begin() as session:
        alert = await alert_rules.get(session, record_id)
        await alert_rules.test(session, context.host, record_id)
        await audit.record(
            session, actor, "alert.test", "alert", object_id=record_id, object_name=alert.name
        )
    return Done()


for _resource, _kind in (
    (environments, ENVIRONMENT),
    (commands, COMMAND),
    (crons, CRON),
    (schedules, SCHEDULE),
    (variables, VARIABLE),
    (alerts, ALERT),
):
    add_routes(_resource, _kind)
