"""What people edit: read a form, save it, and show what went wrong beside its field."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from elihu import InvalidFields, NameTaken, RecordChanged
from elihu.accounts import audit
from elihu.web.pages import texts
from elihu.web.pages.visits import Visit
from elihu.web.problems import Problem

HIDDEN: Final = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of thing: its word, its rules, its fields, and its page's path.
    ``needs_host`` is whether its rules take the host.
    """

    name: str
    rules: ModuleType
    fields: tuple[str, ...]
    path: str
    needs_host: bool = False

    def arguments(self, visit: Visit, *values: Any) -> tuple[Any, ...]:
        """The positional arguments of a rule after its session."""
        return (visit.context.host, *values) if self.needs_host else values

    def facts(self, record: Any) -> dict[str, Any]:
        """What an audit row says of one; a secret is not in it."""
        return {name: _plain(getattr(record, name)) for name in self.fields if name != "secret"}


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not saved: why, by field, and what is stored where somebody else was
    faster.
    """

    errors: Mapping[str, str]
    status: int
    current: Any = None


async def save(
    visit: Visit, kind: Kind, record_id: UUID | None, values: dict[str, Any]
) -> Any | Refused:
    """Store a new one, or change one that is still of the version that the form has read.
    Returns the record, or why it was refused.
    """
    context = visit.context
    try:
        async with context.sessions.begin() as session:
            if record_id is None:
                record = await kind.rules.create(session, *kind.arguments(visit), **values)
                before = None
            else:
                before = kind.facts(await kind.rules.get(session, record_id))
                record = await kind.rules.update(
                    session, *kind.arguments(visit, record_id), version=version_of(visit),
                    **values,
                )  # fmt: skip
            after = kind.facts(record)
            if "secret" in values:
                after["secret"] = HIDDEN
                before = None if before is None else before | {"secret": "before"}
            await audit.record(
                session, visit.who, f"{kind.name}.{'create' if before is None else 'change'}",
                kind.name, object_id=record.id, object_name=getattr(record, "name", None),
                before=before, after=after,
            )  # fmt: skip
    except InvalidFields as error:
        return Refused(dict(error.errors), 422)
    except NameTaken as error:
        return Refused({"name": str(error)}, 409)
    except RecordChanged:
        async with context.sessions.read() as session:
            return Refused({}, 412, await kind.rules.get(session, record_id))
    await context.app.topics.announce(kind.name)
    return record


async def delete(visit: Visit, kind: Kind, record_id: UUID, *, typed: bool = False) -> Response:
    """Delete one. ``typed`` is whether its name must be typed. Raises ``Problem``."""
    async with visit.context.sessions.begin() as session:
        record = await kind.rules.get(session, record_id)
        name = getattr(record, "name", None)
        if typed and visit.text("confirm").strip() != name:
            raise Problem(422, f"type the name {name!r} to delete it: nothing was deleted")
        before = kind.facts(record)
        await kind.rules.delete(session, record_id, version=version_of(visit))
        await audit.record(
            session, visit.who, f"{kind.name}.delete", kind.name, object_id=record_id,
            object_name=name, before=before,
        )  # fmt: skip
    await visit.context.app.topics.announce(kind.name)
    return visit.go(kind.path, f"{name or kind.name.capitalize()} is deleted.")


async def set_enabled(visit: Visit, kind: Kind, record_id: UUID) -> Response:
    """Enable or disable one."""
    on = visit.text("enabled") == "1"
    saved = await save(visit, kind, record_id, {"enabled": on})
    if isinstance(saved, Refused):
        text = "; ".join(saved.errors.values()) or "Somebody else changed it meanwhile: look again."
        return visit.back(kind.path, text, kind="bad")
    name = getattr(saved, "name", kind.name.capitalize())
    return visit.back(kind.path, f"{name} is {'enabled' if on else 'disabled'}.")


def version_of(visit: Visit) -> int | None:
    """The version that the form has read; None where it has none."""
    text = visit.text("version")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def conflicts(refused: Refused, kind: Kind, given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The fields in which what is stored differs from what was typed."""
    if refused.current is None:
        return []
    found = []
    for name, ours in given.items():
        if name == "secret":
            continue
        theirs = _plain(getattr(refused.current, name))
        if theirs != _plain(ours):
            found.append((name, _shown(theirs), _shown(_plain(ours))))
    return found


def whole(text: str) -> int | str | None:
    """A number, or the text for the rules to refuse; None for nothing."""
    text = text.strip().replace(",", "")
    try:
        return int(text) if text else None
    except ValueError:
        return text


def decimal(text: str) -> float | str:
    """A number, or the text for the rules to refuse."""
    try:
        return float(text.strip().replace(",", ""))
    except ValueError:
        return text


def ids(visit: Visit, name: str) -> list[UUID]:
    """The chosen ids of a field, in order. Raises ``Problem``."""
    try:
        return [UUID(text) for text in visit.texts(name) if text]
    except ValueError:
        raise Problem(422, f"{name}: expected ids") from None


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return texts.NOTHING if value is None else str(value)
