"""Merges the levels of settings. Keeps, for each key, the value that wins and its
source.
"""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, NamedTuple

from elihu.config.checks import Check, InvalidValue, name, shown
from elihu.config.model import (
    CommandsConfig,
    LifelineConfig,
    PrunerConfig,
    RetentionConfig,
    StagerConfig,
    WebConfig,
)
from elihu.config.settings import SETTINGS, Named, Node, Table, known_keys
from elihu.config.sources import PREFIX, Assignment, Source
from elihu.errors import ConfigError

Keys = tuple[str, ...]


class Given(NamedTuple):
    """A value as written, its source, and its check."""

    value: Any
    source: Source
    check: Check


class Levels:
    """The settings given so far. Only the winning value is checked. An unknown key is
    refused on every level.
    """

    def __init__(self) -> None:
        self._given: dict[Keys, Given] = {}
        self._names: dict[Keys, dict[str, None]] = {}

    def lay(self, assignment: Assignment) -> None:
        """Let ``assignment`` win over all before it. Raises ``ConfigError``."""
        node: Node = SETTINGS
        for depth, key in enumerate(assignment.keys):
            node = self._step(node, assignment.keys[:depth], key, assignment.source)
        self._set(node, assignment.keys, assignment.value, assignment.source)

    def value(self, *keys: str, default: Any) -> Any:
        """The checked value that won, or ``default`` if none was given. Raises
        ``ConfigError``.
        """
        given = self._given.get(keys)
        if given is None:
            return default
        try:
            return given.check(given.value, given.source.textual)
        except InvalidValue as error:
            raise refusal(keys, error, given.source.label) from None

    def source(self, *keys: str) -> Source | None:
        """The source of the winning value, None for a default."""
        given = self._given.get(keys)
        return given and given.source

    def label(self, *keys: str) -> str:
        """The source in words."""
        source = self.source(*keys)
        return source.label if source else "default"

    def names(self, *keys: str) -> list[str] | None:
        """The user's names in the table at ``keys``, in order. None if the table was
        not given.
        """
        return list(self._names[keys]) if keys in self._names else None

    def _step(self, node: Node, here: Keys, key: Any, source: Source) -> Node:
        match node:
            case Table() if key in node.keys:
                return node.keys[key]
            case Named():
                try:
                    name(key, source.textual)
                except InvalidValue as error:
                    raise refusal(
                        here, InvalidValue(f"as a name {error.expected}", error.got), source.label
                    ) from None
                self._names.setdefault(here, {})[key] = None
                return node.entry
        raise _unknown((*here, str(key)), node, source)

    def _set(self, node: Node, keys: Keys, value: Any, source: Source) -> None:
        match node:
            case Table():
                entries = _table(node, keys, value, source)
            case Named():
                entries = _entries(node, keys, value, source)
                self._forget(keys)
                self._names[keys] = {}
            case check:
                self._given[keys] = Given(value, source, check)
                return
        for key, below in entries.items():
            self._set(self._step(node, keys, key, source), (*keys, key), below, source)

    def _forget(self, keys: Keys) -> None:
        depth = len(keys)
        self._names = {
            known: names for known, names in self._names.items() if known[:depth] != keys
        }
        self._given = {
            known: given for known, given in self._given.items() if known[:depth] != keys
        }


def refusal(keys: Keys, error: InvalidValue, label: str) -> ConfigError:
    """The error in its one form: key, expected, got, source."""
    return ConfigError(
        f"{'.'.join(keys) or 'configuration'}: expected {error.expected}, got {error.got} ({label})"
    )


def _unknown(keys: Keys, node: Node, source: Source) -> ConfigError:
    here = "".join(f"{key}." for key in keys[:-1])
    siblings = list(node.keys) if isinstance(node, Table) else []
    near = get_close_matches(keys[-1], siblings if here else list(known_keys()), n=1, cutoff=0.6)
    spelled = _as_variable if source.label.startswith("environment") else str
    if near:
        hint = f"did you mean {spelled(here + near[0])}?"
    elif siblings:
        hint = f"known are {', '.join(spelled(here + key) for key in siblings)}"
    else:
        hint = f"{here.removesuffix('.')} is no table"
    return ConfigError(
        f"{here}{keys[-1]}: expected a known setting, got {keys[-1]!r} ({source.label}); {hint}"
    )


def _as_variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _table(node: Table, keys: Keys, value: Any, source: Source) -> Mapping[str, Any]:
    match value:
        case RetentionConfig():
            return {**value.states, "queues": value.queues, "tasks": value.tasks}
        case StagerConfig() | LifelineConfig() | PrunerConfig() | CommandsConfig() | WebConfig():
            return {each.name: getattr(value, each.name) for each in fields(value)}
        case Mapping():
            return value
    raise refusal(
        keys,
        InvalidValue(f"a table of settings ({', '.join(node.keys)})", shown(value)),
        source.label,
    )


def _entries(node: Named, keys: Keys, value: Any, source: Source) -> Mapping[Any, Any]:
    match value:
        case Mapping():
            return value
        case str() if callable(node.entry):
            return _pairs(keys, value, source)
    raise refusal(keys, InvalidValue("a table of names", shown(value)), source.label)


def _pairs(keys: Keys, text: str, source: Source) -> Mapping[str, Any]:
    entries: dict[str, Any] = {}
    for pair in text.split(","):
        key, equals, value = (part.strip() for part in pair.rpartition("="))
        if not equals:
            raise refusal(
                keys, InvalidValue('pairs such as "default=10,mail=5"', shown(text)), source.label
            )
        if key in entries:
            raise refusal(keys, InvalidValue("each name once", f"{shown(key)} twice"), source.label)
        entries[key] = int(value) if value.isascii() and value.isdigit() else value
    return entries
