"""Import a crontab: see first what it makes, then store it."""

from getpass import getuser
from typing import Any, Final
from zoneinfo import available_timezones

from fastapi import APIRouter
from starlette.responses import Response

from elihu import ElihuError
from elihu.accounts import audit
from elihu.commands.crontab import read_crontab
from elihu.commands.transfer.apply import apply
from elihu.commands.transfer.from_crontab import document_of
from elihu.web.pages.texts import plural
from elihu.web.pages.visits import EditVisit, PageRoute, Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False)
DEADLINE: Final = 120.0
"""Seconds that an import may take."""
LONGEST: Final = 500_000
_NEW: Final = {"text": "", "environment": "crontab", "timezone": "UTC", "system": ""}


@router.get("/schedules/import")
async def show_import(visit: EditVisit) -> Response:
    """The form."""
    return _form(visit, dict(_NEW))


@router.post("/schedules/import")
async def import_crontab(visit: EditVisit) -> Response:
    """Show what a crontab makes; store it where that was asked for."""
    typed = {name: visit.text(name) for name in _NEW}
    if not typed["text"].strip():
        return _form(visit, typed, {"text": "expected the lines of a crontab"})
    if len(typed["text"]) > LONGEST:
        return _form(visit, typed, {"text": f"expected at most {LONGEST:,} characters"})
    is_stored = visit.text("action") == "import"
    try:
        crontab = read_crontab(
            typed["text"].replace("\r\n", "\n"), system=bool(typed["system"]),
            user=getuser() if typed["system"] else None,
        )  # fmt: skip
        document = document_of(
            crontab, environment=typed["environment"].strip(), timezone=typed["timezone"]
        )
        async with visit.context.sessions.begin(deadline=DEADLINE) as session:
            changes = await apply(session, visit.context.host, document)
            made = [change for change in changes if change.action in {"created", "updated"}]
            if not is_stored:
                await session.rollback()
            for change in made if is_stored else ():
                await audit.record(
                    session, visit.who,
                    f"{change.kind}.{'create' if change.action == 'created' else 'change'}",
                    change.kind, object_name=change.name,
                    before={name: values[0] for name, values in change.fields.items()},
                    after={name: values[1] for name, values in change.fields.items()},
                )  # fmt: skip
    except ElihuError as error:
        field = "environment" if "environment" in str(error) else "text"
        return _form(visit, typed, {field: str(error)})
    if not is_stored:
        return _form(
            visit,
            typed,
            changes=made,
            read=True,
            refusals=crontab.refusals,
            warnings=crontab.warnings,
        )
    for kind in {change.kind for change in made}:
        await visit.context.app.topics.announce(kind)
    commands = sum(change.kind == "command" for change in made)
    word = "is" if commands == 1 else "are"
    return visit.go("/schedules", f"{plural(commands, 'command')} of the crontab {word} stored.")


def _form(
    visit: Visit, values: dict[str, str], errors: dict[str, str] | None = None, **more: Any
) -> Response:
    return visit.page(
        "crontab.html", 422 if errors else 200, values=values, errors=errors or {},
        zones=sorted(available_timezones()),
        **({"changes": [], "refusals": [], "warnings": [], "read": False} | more),
    )  # fmt: skip
