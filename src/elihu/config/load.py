"""Merges flags, keyword arguments, environment, file and defaults into one validated,
frozen configuration.
"""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from elihu.config.checks import InvalidValue
from elihu.config.database import POSTGRESQL, resolve_url
from elihu.config.levels import Levels, refusal
from elihu.config.model import (
    CommandsConfig,
    Config,
    LifelineConfig,
    PrunerConfig,
    RetentionConfig,
    StagerConfig,
    WebConfig,
)
from elihu.config.settings import SETTINGS, STATES, Named, Table
from elihu.config.sources import (
    Assignment,
    ConfigFile,
    Source,
    find_file,
    from_environment,
    from_file,
    from_flags,
    from_keywords,
)

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
DEFAULT: Final = Config()
DJANGO_SETTINGS: Final = "DJANGO_SETTINGS_MODULE"
DJANGO_APP: Final = "elihu.contrib.django:app"

Part = TypeVar("Part", StagerConfig, LifelineConfig, PrunerConfig, CommandsConfig, WebConfig)


def load_config(
    *,
    flags: Mapping[str, Any] = NOTHING,
    keywords: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    read_files: bool = True,
    read_environment: bool = True,
) -> Config:
    """The configuration from all levels, first wins: flag, keyword argument,
    environment (``ELIHU_*``), the nearest ``elihu.toml`` or ``[tool.elihu]`` of a
    ``pyproject.toml``, default.

    ``environ`` defaults to the process's environment. The search for a file starts in
    ``folder``, by default the working folder. None in ``flags`` and ``keywords`` means
    not given. Tables of fixed keys are merged key by key. A table of queues replaces the
    whole table of lower levels; variables such as ``ELIHU_QUEUES__MAIL`` set one entry.
    A relative SQLite path that is the default or is written in the file starts at the
    file's folder, any other at ``folder``.

    Raises ``ConfigError`` with the key, the expected and the given value, and its
    source. No error shows a password.
    """
    folder = (folder or Path.cwd()).absolute()
    file = find_file(folder) if read_files else None
    environ = os.environ if environ is None else environ
    return _build(
        _gather(flags, keywords, environ if read_environment else NOTHING, folder, file),
        folder,
        file,
    )


def changed_config(config: Config, settings: Mapping[str, Any]) -> Config:
    """``config`` with some settings changed, which are checked as any others. A setting
    that is None is left as it is. Raises ``ConfigError``.
    """
    checked = load_config(keywords=settings, read_files=False, read_environment=False)
    return replace(
        config,
        **{name: getattr(checked, name) for name, value in settings.items() if value is not None},
    )


class Located(NamedTuple):
    """A value, and its source in words."""

    value: str
    label: str


def find_app(
    *,
    flags: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Located | None:
    """The setting ``app`` from a flag, the environment or a file. It is needed before
    the app, with its keywords, can be imported. Without one, ``DJANGO_SETTINGS_MODULE``
    in the environment names the app of the Django project.

    Raises ``ConfigError`` for this setting and for unknown ones.
    """
    folder = (folder or Path.cwd()).absolute()
    environ = os.environ if environ is None else environ
    levels = _gather(flags, NOTHING, environ, folder, find_file(folder))
    app = levels.value("app", default=None)
    if app is not None:
        return Located(app, levels.label("app"))
    if environ.get(DJANGO_SETTINGS):
        return Located(DJANGO_APP, f"environment variable {DJANGO_SETTINGS}")
    return None


def _gather(
    flags: Mapping[str, Any],
    keywords: Mapping[str, Any],
    environ: Mapping[str, str],
    folder: Path,
    file: ConfigFile | None,
) -> Levels:
    levels = Levels()
    levels.lay(Assignment(("queues",), DEFAULT.queues, Source("default", False, folder)))
    for level in (
        from_file(file),
        from_environment(environ, folder),
        from_keywords(keywords, folder),
        from_flags(flags, folder),
    ):
        for assignment in level:
            levels.lay(assignment)
    return levels


def _build(levels: Levels, folder: Path, file: ConfigFile | None) -> Config:
    single = {
        key: levels.value(key, default=getattr(DEFAULT, key))
        for key, node in SETTINGS.keys.items()
        if not isinstance(node, Table | Named)
    }
    source = levels.source("database_url")
    home = source.folder if source else file.path.parent if file else folder
    try:
        single["database_url"] = resolve_url(single["database_url"], home, single["schema"])
    except InvalidValue as error:
        raise refusal(("database_url",), error, levels.label("database_url")) from None
    config = Config(
        **single,
        queues=MappingProxyType(
            {
                name: levels.value("queues", name, default=None)
                for name in levels.names("queues") or ()
            }
        ),
        stager=_part(levels, "stager", DEFAULT.stager),
        lifeline=_part(levels, "lifeline", DEFAULT.lifeline),
        pruner=_part(levels, "pruner", DEFAULT.pruner),
        retention=_retention(levels),
        commands=_part(levels, "commands", DEFAULT.commands),
        web=_part(levels, "web", DEFAULT.web),
        file=file.path if file else None,
    )
    _check_together(config, levels)
    return config


def _part(levels: Levels, key: str, default: Part) -> Part:
    return type(default)(
        **{
            each.name: levels.value(key, each.name, default=getattr(default, each.name))
            for each in fields(default)
        }
    )


def _retention(levels: Levels) -> RetentionConfig:
    def states(*keys: str, defaults: Mapping[str, float]) -> Mapping[str, float]:
        found = {state: levels.value(*keys, state, default=defaults.get(state)) for state in STATES}
        return MappingProxyType(
            {state: seconds for state, seconds in found.items() if seconds is not None}
        )

    def tables(kind: str) -> Mapping[str, Mapping[str, float]]:
        names = levels.names("retention", kind) or ()
        return MappingProxyType(
            {name: states("retention", kind, name, defaults=NOTHING) for name in names}
        )

    return RetentionConfig(
        states=states("retention", defaults=DEFAULT.retention.states),
        queues=tables("queues"),
        tasks=tables("tasks"),
    )


def _check_together(config: Config, levels: Levels) -> None:
    def check(holds: bool, key: str, relation: str, other: str) -> None:
        if not holds:
            expected = (
                f"{relation} {other} ({getattr(config, other):g} seconds, {levels.label(other)})"
            )
            raise refusal(
                (key,),
                InvalidValue(expected, f"{getattr(config, key):g} seconds"),
                levels.label(key),
            )

    check(config.dead_after > 2 * config.heartbeat, "dead_after", "more than twice", "heartbeat")
    check(config.call_timeout < config.dead_after, "call_timeout", "less than", "dead_after")
    if config.listen_url and not config.database_url.startswith(POSTGRESQL):
        unfit = InvalidValue("no listen_url where the database is SQLite", "one")
        raise refusal(("listen_url",), unfit, levels.label("listen_url"))
