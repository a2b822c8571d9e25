"""Makes what is stored equal to a file, through the rules, and says what changed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields
from elihu.commands.host import Host
from elihu.commands.rules import alerts, commands, crons, environments, schedules, variables
from elihu.commands.rules.fields import name_key
from elihu.commands.transfer.document import KINDS, UNIQUE, Document, Values, label
from elihu.commands.transfer.stored import Stored, StoredItem, read

Action = Literal["created", "updated", "deleted", "unchanged", "no secret"]

_LINKS: Final = {
    "command": ("command", "command_id"),
    "commands": ("command", "command_ids"),
    "environments": ("environment", "environment_ids"),
    "crons": ("cron", "cron_ids"),
}
"""The fields that name other items: of which kind, and the name of the field with ids."""

_ORDERED: Final = {("schedule", "environments"), ("schedule", "crons")}


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one item. ``fields`` has values before and after, by name.

    ``no secret``: the file names a secret that is not stored, and no value was given;
    a variable is not made then, an alert is made without.
    """

    action: Action
    kind: str
    name: str
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


async def apply(
    session: AsyncSession,
    host: Host,
    document: Document,
    *,
    prune: bool = False,
    secrets: Mapping[str, str] | None = None,
) -> list[Change]:
    """Store what the file has. Items are matched by name, schedules by their command,
    variables by name and environments. ``prune`` deletes what the file does not have.
    ``secrets`` are values of secrets: of a variable by its name, of an alert by
    ``alert NAME``.

    Raises ``InvalidFields`` with all that is wrong, and ``SecretError``; roll the
    session back then.
    """
    importer = _Importer(session, host, await read(session), secrets or {})
    for kind in KINDS:
        await importer.store(kind, document.of(kind))
    if prune:
        for kind in reversed(list(KINDS)):
            await importer.delete_others(kind)
    if importer.errors:
        raise InvalidFields(*importer.errors)
    return importer.changes


class _Importer:
    def __init__(
        self, session: AsyncSession, host: Host, stored: Stored, secrets: Mapping[str, str]
    ) -> None:
        self.changes: list[Change] = []
        self.errors: list[tuple[str, str]] = []
        self._session = session
        self._host = host
        self._secrets = secrets
        self._left = {kind: list(items) for kind, items in stored.items()}
        self._ids = {
            kind: {name_key(item.values["name"]): item.id for item in stored[kind]}
            for kind in UNIQUE
        }
        self._failed: set[tuple[str, str]] = set()

    async def store(self, kind: str, items: Sequence[Values]) -> None:
        """Create and update the items of one kind."""
        for values, item in self._pairs(kind, items):
            try:
                await self._store_one(kind, values, item)
            except InvalidFields as error:
                self.errors += [
                    (f"{label(kind, values)}: {name}", detail) for name, detail in error.errors
                ]
                self._failed.add((kind, name_key(str(values.get("name", "")))))

    async def delete_others(self, kind: str) -> None:
        """Delete what is stored and not in the file."""
        for item in self._left[kind]:
            try:
                await _RULES[kind].delete(self._session, item.id)
            except InvalidFields as error:
                self.errors += [
                    (f"{label(kind, item.values)}: {name}", detail) for name, detail in error.errors
                ]
            else:
                self.changes.append(Change("deleted", kind, label(kind, item.values)))

    def _pairs(self, kind: str, items: Sequence[Values]) -> list[tuple[Values, StoredItem | None]]:
        """Each item of the file with the stored one that it matches: first those with
        the same links, then by order.
        """
        pairs: list[tuple[Values, StoredItem | None]] = [(values, None) for values in items]
        for same in (_same_links, _same_name):
            for number, (values, item) in enumerate(pairs):
                if item is not None:
                    continue
                for candidate in self._left[kind]:
                    if same(kind, values, candidate.values):
                        self._left[kind].remove(candidate)
                        pairs[number] = values, candidate
                        break
        return pairs

    async def _store_one(self, kind: str, values: Values, item: StoredItem | None) -> None:
        name = label(kind, values)
        given = self._given(kind, values)
        if values.get("secret") and given is None and (item is None or not item.values["secret"]):
            self.changes.append(Change("no secret", kind, name))
            if kind == "variable":
                return
            values = {**values, "secret": False}
        before = item.values if item else {}
        fields = {
            field: (before.get(field), value)
            for field, value in values.items()
            if item is None or not _equal(kind, field, before.get(field), value)
        }
        if given is not None and values["secret"]:
            fields["secret"] = (before.get("secret"), True)
        if item is not None and not fields:
            self.changes.append(Change("unchanged", kind, name))
            return
        written = self._written(kind, fields, given)
        arguments = (self._session, self._host) if kind in _WITH_HOST else (self._session,)
        if item is None:
            row = await _RULES[kind].create(*arguments, **written)
            self.changes.append(Change("created", kind, name))
            if kind in UNIQUE:
                self._ids[kind][name_key(values["name"])] = row.id
        else:
            await _RULES[kind].update(*arguments, item.id, **written)
            self.changes.append(Change("updated", kind, name, fields))

    def _given(self, kind: str, values: Values) -> str | None:
        """The value that was given for the secret of an item."""
        if kind == "variable":
            return self._secrets.get(values["name"])
        # No variable has a name with a blank.
        return self._secrets.get(f"alert {values['name']}") if kind == "alert" else None

    def _written(
        self, kind: str, fields: Mapping[str, tuple[Any, Any]], secret: str | None
    ) -> Values:
        """The arguments of the rule."""
        written: Values = {}
        for name, (_, value) in fields.items():
            if name in _LINKS:
                linked, argument = _LINKS[name]
                names = (value,) if isinstance(value, str) else value
                ids = [self._id(linked, name, each) for each in names]
                written[argument] = ids[0] if isinstance(value, str) else ids
            elif name == "secret":
                if value and secret is not None:
                    written["secret"] = secret
                elif not value and fields[name][0] and kind == "alert":
                    written["secret"] = None
            elif name == "value" and value is None:
                continue
            else:
                written[name] = value
        return written

    def _id(self, kind: str, field: str, name: str) -> UUID:
        found = self._ids[kind].get(name_key(name))
        if found is None:
            why = "has an error" if (kind, name_key(name)) in self._failed else "not found"
            raise InvalidFields((field, f"{kind} {name!r:.80} {why}"))
        return found


def _same_links(kind: str, values: Values, stored: Values) -> bool:
    if not _same_name(kind, values, stored):
        return False
    return all(
        _equal(kind, field, values.get(field), stored.get(field))
        for field in ("environments", "crons")
    )


def _same_name(kind: str, values: Values, stored: Values) -> bool:
    named = "command" if kind == "schedule" else "name"
    if kind == "variable":
        return bool(values["name"] == stored["name"] and values["secret"] == stored["secret"])
    return name_key(values[named]) == name_key(stored[named])


def _equal(kind: str, field: str, one: Any, other: Any) -> bool:
    if field == "command":
        return name_key(one) == name_key(other)
    if field == "expression":
        return str(one).split() == str(other).split()
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return bool(one == other and isinstance(one, bool) == isinstance(other, bool))
    if field == "on":
        return set(one) == set(other)
    keys = [name_key(each) for each in one], [name_key(each) for each in other]
    return keys[0] == keys[1] if (kind, field) in _ORDERED else sorted(keys[0]) == sorted(keys[1])


_Rule = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Rules:
    create: _Rule
    update: _Rule
    delete: _Rule


_WITH_HOST: Final = ("variable", "alert")
_RULES: Final = {
    "environment": _Rules(environments.create, environments.update, environments.delete),
    "cron": _Rules(crons.create, crons.update, crons.delete),
    "command": _Rules(commands.create, commands.update, commands.delete),
    "schedule": _Rules(schedules.create, schedules.update, schedules.delete),
    "variable": _Rules(variables.create, variables.update, variables.delete),
    "alert": _Rules(alerts.create, alerts.update, alerts.delete),
}
