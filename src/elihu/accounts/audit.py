"""Audit rows: who changed what, with what was before and after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.accounts.models import AuditEntry
from elihu.accounts.roles import Actor
from elihu.errors import InvalidOption
from elihu.options import check_range
from elihu.orm.newest import Condition, newest
from elihu.orm.sessions import now

KEPT: Final = timedelta(days=365)
HIDDEN: Final = "hidden"
LONGEST_TEXT: Final = 20_000
_SECRET: Final = frozenset(
    {"password", "secret", "token", "digest", "key", "secret_value", "new_password"}
)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. ``next`` is ``after=`` for the next page, None at the end."""

    items: Sequence[AuditEntry]
    next: UUID | None


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    kind: str,
    *,
    object_id: object = None,
    object_name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Store a row in the transaction of the change. Values of secret fields are left out;
    of equal fields of ``before`` and ``after`` none is kept.
    """
    old, new = _changes(before, after)
    entry = AuditEntry(
        at=await now(session),
        user_id=actor.user_id,
        user_name=actor.name,
        via=actor.via,
        address=actor.address,
        action=action,
        kind=kind,
        object_id=None if object_id is None else str(object_id),
        object_name=object_name,
        before=old,
        after=new,
    )
    session.add(entry)
    return entry


async def find_all(
    session: AsyncSession,
    *,
    user: str | None = None,
    kind: str | None = None,
    object_id: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> AuditPage:
    """A page of at most ``limit`` (1 to 1,000) entries. It reads a bounded number of them,
    so that it may be short, or empty, and not the last. Raises ``InvalidOption``, also
    for an ``object_id`` without its ``kind``, which no index has.
    """
    check_range("limit", limit, 1, 1_000)
    if object_id is not None and kind is None:
        raise InvalidOption(
            "object_id: expected kind too, got object_id alone: no index has ids of all kinds. "
            "Give kind and object_id, or user"
        )
    within: list[Condition] = []
    if object_id is not None:
        within = [AuditEntry.kind == kind, AuditEntry.object_id == object_id]
    elif user is not None:
        within = [AuditEntry.user_name == user]

    def where(entry: type[AuditEntry]) -> list[Condition]:
        return [
            column == value
            for column, value in ((entry.user_name, user), (entry.kind, kind))
            if value is not None
        ]

    return AuditPage(
        *await newest(session, AuditEntry, within=within, where=where, after=after, limit=limit)
    )


async def prune(session: AsyncSession, limit: int = 1_000) -> int:
    """Remove at most ``limit`` entries older than a year. Returns how many."""
    old = select(AuditEntry.id).where(AuditEntry.at < await now(session) - KEPT).limit(limit)
    ids = (await session.scalars(old)).all()
    await session.execute(delete(AuditEntry).where(AuditEntry.id.in_(ids)))
    return len(ids)


def loaded(text: str | None) -> dict[str, Any] | None:
    """The values in a row's ``before`` or ``after``."""
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


def _changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[str | None, str | None]:
    if before is not None and after is not None:
        changed = {
            name
            for name in {*before, *after}
            if name in _SECRET or before.get(name) != after.get(name)
        }
        before = {name: value for name, value in before.items() if name in changed}
        after = {name: value for name, value in after.items() if name in changed}
    return _text(before), _text(after)


def _text(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    shown = {name: HIDDEN if name in _SECRET else _cut(value) for name, value in values.items()}
    return json.dumps(shown, default=_plain, ensure_ascii=True)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + "…"
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
