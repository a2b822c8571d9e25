"""The sources of settings: flags, keyword arguments, environment and file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from elihu.errors import ConfigError

PREFIX: Final = "ELIHU_"
FLAGS: Final = {"database_url": "--database"}

_RESERVED = ("ELIHU_TEST_",)
_SERVICE_LINK = re.compile(
    r"ELIHU_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class Source(NamedTuple):
    """The source of a value in words. ``textual`` means that it can only be text.
    Relative paths start at ``folder``.
    """

    label: str
    textual: bool
    folder: Path


class Assignment(NamedTuple):
    """A given value, the keys that lead to it (none: the whole table of settings), and
    its source.
    """

    keys: tuple[str, ...]
    value: Any
    source: Source


class ConfigFile(NamedTuple):
    """A configuration file and its table of settings."""

    path: Path
    table: Any


def from_flags(flags: Mapping[str, Any], folder: Path) -> Iterator[Assignment]:
    """Assignments from command-line flags; None means not given."""
    for key, value in flags.items():
        if value is not None:
            flag = FLAGS.get(key, f"--{key.replace('_', '-')}")
            yield Assignment((key,), value, Source(f"flag {flag}", True, folder))


def from_keywords(keywords: Mapping[str, Any], folder: Path) -> Iterator[Assignment]:
    """Assignments from keyword arguments; None means not given."""
    for key, value in keywords.items():
        if value is not None:
            yield Assignment((key,), value, Source(f"keyword {key}", False, folder))


def from_environment(environ: Mapping[str, str], folder: Path) -> Iterator[Assignment]:
    """Assignments from variables ``ELIHU_KEY`` and ``ELIHU_TABLE__KEY``. A whole table
    comes before its keys.

    Ignores reserved variables, and those that Kubernetes adds for a service whose name
    starts with ``elihu``.
    """
    linked = "KUBERNETES_SERVICE_HOST" in environ
    for variable in sorted(environ):
        if (
            not variable.startswith(PREFIX)
            or variable.startswith(_RESERVED)
            or (linked and _SERVICE_LINK.fullmatch(variable))
        ):
            continue
        keys = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        yield Assignment(
            keys, environ[variable], Source(f"environment variable {variable}", True, folder)
        )


def from_file(file: ConfigFile | None) -> Iterator[Assignment]:
    """The assignment of the configuration file, if there is one."""
    if file:
        yield Assignment((), file.table, Source(f"file {file.path}", False, file.path.parent))


def find_file(folder: Path) -> ConfigFile | None:
    """The nearest ``elihu.toml``, or ``pyproject.toml`` with a table ``[tool.elihu]``,
    in ``folder`` and its parents. Raises ``ConfigError`` for a file that cannot be read.
    """
    for place in (folder, *folder.parents):
        if (path := place / "elihu.toml").is_file():
            return ConfigFile(path, _read(path))
        if (path := place / "pyproject.toml").is_file():
            tool = _read(path).get("tool")
            if isinstance(tool, dict) and "elihu" in tool:
                return ConfigFile(path, tool["elihu"])
    return None


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"configuration: expected a file that can be read, got {error.strerror} (file {path})"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"configuration: expected UTF-8 text, got other bytes (file {path})"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"configuration: expected TOML, got an error: {error} (file {path})"
        ) from error
