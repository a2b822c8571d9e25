"""``/api/transfer``: everything that people set up, as TOML, and crontabs."""

from collections.abc import Mapping
from getpass import getuser
from typing import Annotated, Any, Final, Literal

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from elihu.accounts import audit
from elihu.accounts.roles import Role
from elihu.commands.crontab import Crontab, read_crontab
from elihu.commands.transfer.apply import Change, apply
from elihu.commands.transfer.document import Document, parse, render
from elihu.commands.transfer.from_crontab import document_of
from elihu.commands.transfer.stored import export
from elihu.web.api.models import Given, Name, Text
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

transfer = Resource("/transfer", "commands")

DEADLINE: Final = 120.0
"""Seconds that an import may take."""
_AUDITED: Final[Mapping[str, str]] = {"created": "add", "updated": "change", "deleted": "delete"}


class ImportIn(Given):
    """The text of an export, or of a crontab. With ``dry_run`` nothing is stored.

    ``prune`` deletes what a TOML file does not have; ``secrets`` are values of secrets,
    by ``NAME`` of a variable or ``alert NAME``. The lines of a crontab run in
    ``environment`` and in ``timezone``; those of other users than the server's are
    refused without ``any_user``.
    """

    format: Literal["toml", "crontab", "system-crontab"]
    text: Text
    dry_run: bool = True
    prune: bool = False
    secrets: Annotated[dict[str, Text], Field(default_factory=dict, max_length=1_000)]
    environment: Name = "crontab"
    timezone: Name = "UTC"
    any_user: bool = False


class ChangeOut(BaseModel):
    """What happens, or would happen, to one item; ``fields`` has what differs."""

    action: str
    kind: str
    name: str
    before: dict[str, Any]
    after: dict[str, Any]


class RefusalOut(BaseModel):
    """A line of a crontab that makes nothing, or not all that it says, and why."""

    line: int
    text: str
    reason: str


class WarningOut(BaseModel):
    """A line of a crontab whose variable is taken, and what is wrong with that."""

    line: int
    name: str
    reason: str


class ImportOut(BaseModel):
    """What changed, or would change."""

    stored: bool
    changes: list[ChangeOut]
    refusals: list[RefusalOut]
    warnings: list[WarningOut]


@transfer.get(response_class=Response)
async def export_all(request: Request) -> Response:
    """All that is set up, as TOML. Secrets are in it by name only."""
    async with context_of(request).sessions.read() as session:
        text = render(await export(session))
    return Response(
        text,
        media_type="application/toml",
        headers={"Content-Disposition": 'attachment; filename="elihu-commands.toml"'},
    )


@transfer.post(role=Role.EDIT)
async def import_all(request: Request, actor: CurrentActor, given: ImportIn) -> ImportOut:
    """Store what a text has, or say what would change. Items are matched by name. All of
    it is stored or nothing.
    """
    context = context_of(request)
    document, crontab = _read(given)
    async with context.sessions.begin(deadline=DEADLINE) as session:
        changes = await apply(
            session, context.host, document, prune=given.prune, secrets=given.secrets
        )
        if given.dry_run:
            await session.rollback()
        else:
            for change in changes:
                if change.action in _AUDITED:
                    before, after = _values(change)
                    await audit.record(
                        session, actor, f"{change.kind}.{_AUDITED[change.action]}", change.kind,
                        object_name=change.name, before=before or None, after=after or None,
                    )  # fmt: skip
    return ImportOut(
        stored=not given.dry_run,
        changes=[_shown(change) for change in changes],
        refusals=[
            RefusalOut(line=each.line, text=each.text, reason=each.reason)
            for each in crontab.refusals
        ],
        warnings=[
            WarningOut(line=each.line, name=each.name, reason=each.reason)
            for each in crontab.warnings
        ],
    )


def _read(given: ImportIn) -> tuple[Document, Crontab]:
    if given.format == "toml":
        return parse(given.text), Crontab()
    system = given.format == "system-crontab"
    user = getuser() if system and not given.any_user else None
    crontab = read_crontab(given.text, system=system, user=user)
    document = document_of(crontab, environment=given.environment, timezone=given.timezone)
    return document, crontab


def _values(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    before = {name: values[0] for name, values in change.fields.items()}
    return before, {name: values[1] for name, values in change.fields.items()}


def _shown(change: Change) -> ChangeOut:
    before, after = _values(change)
    return ChangeOut(
        action=change.action, kind=change.kind, name=change.name, before=before, after=after
    )
