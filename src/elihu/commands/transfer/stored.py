"""What is stored, in the form of the file."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.rules import alerts, commands, crons, environments, schedules, variables
from elihu.commands.rules.rows import Page
from elihu.commands.transfer.document import KINDS, Document, Values

_ALL: Final = 1_000


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item and its id."""

    id: UUID
    values: Values


Finder = Callable[..., Awaitable[Page[Any]]]

Stored = Mapping[str, list[StoredItem]]
"""The items of each kind, in the order of their creation."""

_FINDERS: Final[Mapping[str, Finder]] = {
    "environment": environments.find_all,
    "cron": crons.find_all,
    "command": commands.find_all,
    "schedule": schedules.find_all,
    "variable": variables.find_all,
    "alert": alerts.find_all,
}


async def export(session: AsyncSession) -> Document:
    """All that people set up, secrets by name only."""
    stored = await read(session)
    return Document({kind: [item.values for item in items] for kind, items in stored.items()})


async def read(session: AsyncSession) -> Stored:
    """The same with ids."""
    rows = {kind: await _all(find_all, session) for kind, find_all in _FINDERS.items()}
    names_of = {
        kind: {row.id: row.name for row in rows[kind]}
        for kind in ("environment", "cron", "command")
    }

    def names(kind: str, ids: Iterable[UUID]) -> tuple[str, ...]:
        return tuple(names_of[kind][each] for each in ids)

    def values(kind: str, row: Any) -> Values:
        match kind:
            case "schedule":
                special: Values = {
                    "command": names_of["command"][row.command_id],
                    "environments": names("environment", row.environment_ids),
                    "crons": names("cron", row.cron_ids),
                }
            case "variable":
                special = {
                    "secret": row.is_secret,
                    "environments": tuple(sorted(names("environment", row.environment_ids))),
                }
            case "alert":
                special = {
                    "secret": row.secret is not None,
                    "commands": tuple(sorted(names("command", row.command_ids))),
                    "environments": tuple(sorted(names("environment", row.environment_ids))),
                }
            case _:
                special = {}
        return {name: special.get(name, getattr(row, name, None)) for name in KINDS[kind]}

    return {
        kind: [StoredItem(row.id, values(kind, row)) for row in found]
        for kind, found in rows.items()
    }


async def _all(find_all: Finder, session: AsyncSession) -> list[Any]:
    rows: list[Any] = []
    after = None
    while True:
        page = await find_all(session, after=after, limit=_ALL)
        rows += page.items
        if page.next is None:
            return rows
        after = page.next
