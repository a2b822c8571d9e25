"""What the file holds: kinds, fields and their defaults. Reads and writes its text."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from elihu import InvalidFields
from elihu.commands.rules.fields import name_key

VERSION: Final = 1
REQUIRED: Final = object()
"""The default of a field that has none."""

Values = dict[str, Any]

KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "environment": {"name": REQUIRED, "enabled": True},
    "cron": {"name": REQUIRED, "expression": REQUIRED, "timezone": "UTC", "enabled": True},
    "command": {
        "name": REQUIRED,
        "shell_command": REQUIRED,
        "enabled": True,
        "timeout": 60.0,
        "max_attempts": 1,
        "overlap": "skip",
        "mode": "shell",
        "working_directory": None,
        "output_limit": 10 * 2**20,
        "rerun_lost": False,
        "keep_background": False,
        "memory_limit": None,
        "cpu_seconds": None,
        "open_files": None,
    },
    "schedule": {
        "command": REQUIRED,
        "environments": (),
        "crons": (),
        "enabled": True,
        "catch_up": "last",
    },
    "variable": {
        "name": REQUIRED,
        "value": None,
        "secret": False,
        "description": "",
        "environments": (),
    },
    "alert": {
        "name": REQUIRED,
        "on": REQUIRED,
        "channel": REQUIRED,
        "target": REQUIRED,
        "secret": False,
        "enabled": True,
        "commands": (),
        "environments": (),
    },
}
"""The fields of each kind, in the order of the file, with the defaults of the rules."""

UNIQUE: Final = ("environment", "cron", "command", "alert")
"""The kinds with a unique name."""


@dataclass(frozen=True, slots=True)
class Document:
    """The items of each kind. Each has all fields of its kind."""

    items: Mapping[str, Sequence[Values]] = field(default_factory=dict)

    def of(self, kind: str) -> Sequence[Values]:
        """The items of a kind, in order."""
        return self.items.get(kind, ())


def label(kind: str, values: Values) -> str:
    """How an item is named to people."""
    if kind == "schedule":
        return f"schedule of {values['command']!r}"
    if kind == "variable" and values["environments"]:
        return f"variable {values['name']!r} of {', '.join(values['environments'])}"
    return f"{kind} {values['name']!r}"


def parse(text: str) -> Document:
    """Read the file. Raises ``InvalidFields``, which names each item that is wrong."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFields(("file", f"expected TOML, got an error in it: {error}")) from error
    errors: list[tuple[str, str]] = []
    version = content.pop("version", None)
    if version != VERSION:
        errors.append(("version", f"expected {VERSION}, got {version!r:.80}"))
    items: dict[str, list[Values]] = {}
    for kind, given in content.items():
        if kind not in KINDS:
            errors.append((kind, f"expected one of {', '.join(KINDS)}{_near(kind, KINDS)}"))
        elif not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            errors.append((kind, f"expected tables [[{kind}]], got {given!r:.80}"))
        else:
            items[kind] = [
                _read(kind, number, each, errors) for number, each in enumerate(given, 1)
            ]
    errors += _repeated(items)
    if errors:
        raise InvalidFields(*errors)
    return Document(items)


def render(document: Document) -> str:
    """The text of the file. Fields that have their default are left out."""
    parts = [f"version = {VERSION}\n"]
    for kind, fields in KINDS.items():
        for values in document.of(kind):
            lines = [f"[[{kind}]]"]
            lines += [
                f"{name} = {_literal(values[name])}"
                for name, default in fields.items()
                if values[name] != default
            ]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def complete(kind: str, values: Values) -> Values:
    """An item with the defaults of the fields that it does not have."""
    found = {name: values.get(name, default) for name, default in KINDS[kind].items()}
    return {name: tuple(each) if isinstance(each, list) else each for name, each in found.items()}


def _read(kind: str, number: int, given: Values, errors: list[tuple[str, str]]) -> Values:
    place = f"{kind}[{number}]"
    fields = KINDS[kind]
    for name, value in given.items():
        if name not in fields:
            errors.append((f"{place}.{name}", f"there is no such field{_near(name, fields)}"))
        elif isinstance(fields[name], tuple) and not _is_names(value):
            errors.append((f"{place}.{name}", f"expected a list of names, got {value!r:.80}"))
        elif name in {"name", "command"} and not isinstance(value, str):
            errors.append((f"{place}.{name}", f"expected a text, got {value!r:.80}"))
        elif name == "secret" and not isinstance(value, bool):
            # A secret that was written into the file must not be shown.
            errors.append((f"{place}.secret", "expected true or false: a file holds no secrets"))
    errors.extend(
        (f"{place}.{name}", "expected a value, got none")
        for name, default in fields.items()
        if default is REQUIRED and name not in given
    )
    values = complete(kind, given)
    if kind == "variable" and values["secret"] is True and values["value"] is not None:
        errors.append((f"{place}.value", "expected no value beside secret = true"))
    elif kind == "variable" and values["secret"] is False and values["value"] is None:
        errors.append((f"{place}.value", "expected a value or secret = true, got neither"))
    return values


def _repeated(items: Mapping[str, Sequence[Values]]) -> Iterator[tuple[str, str]]:
    for kind in UNIQUE:
        seen: set[str] = set()
        for number, values in enumerate(items.get(kind, ()), 1):
            key = name_key(str(values["name"]))
            if key in seen:
                yield f"{kind}[{number}].name", f"{values['name']!r:.80} is there twice"
            seen.add(key)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _near(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}" if value == round(value, 6) and abs(value) < 1e6 else repr(value)
        case str():
            return _text(value)
        case tuple() | list():
            return f"[{', '.join(map(_literal, value))}]"
    return str(value)


def _text(value: str) -> str:
    """A text; with lines where it has some, so that a change shows by line."""
    if "\n" in value and "'''" not in value and _is_plain(value) and not value.endswith("'"):
        return f"'''\n{value}'''"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_plain(value: str) -> bool:
    return all(char in "\n\t" or (char >= " " and char != "\x7f") for char in value)
