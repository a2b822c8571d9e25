"""Opens the app that a command works with: the user's own, or a bare one with just a
database.
"""

import asyncio
import sys
import sysconfig
import traceback
from collections.abc import Awaitable, Callable
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import click

from elihu.app import Elihu
from elihu.cli.options import Given
from elihu.config import find_app, load_config
from elihu.config.sources import find_file
from elihu.errors import ConfigError, ElihuError

T = TypeVar("T")

_ELIHU: Final = f"{Path(__file__).parents[1]}/"
_LIBRARIES: Final = tuple(
    f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")
)


class Need(Enum):
    """What a command needs of the user's app."""

    SETTINGS = "settings"
    """Its settings at most: an app that cannot be imported is only a warning, unless a
    flag names it.
    """
    APP = "app"
    """The app where one is named, else none."""
    TASKS = "tasks"
    """An app with tasks."""


def open_app(given: Given, *, need: Need = Need.SETTINGS, **flags: Any) -> Elihu:
    """The app named by a flag, the environment or a file, with the flags laid over its
    settings; else an app without tasks.

    Raises ``ConfigError``, and ``click.UsageError`` for a flag that is wrong by itself
    and for an absent app where tasks are needed.
    """
    flags |= {"app": given.app, "database_url": given.database, "schema": given.schema}
    try:
        load_config(flags=flags, read_files=False, read_environment=False)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    named = find_app(flags=flags)
    if named is None:
        if need is Need.TASKS:
            raise click.UsageError(
                "app: expected --app module:attribute, ELIHU_APP or app in a configuration file, "
                "got none"
            )
        return Elihu(config=load_config(flags=flags))
    try:
        app = import_app(*named)
    except ConfigError as error:
        if need is not Need.SETTINGS or given.app is not None:
            raise
        app = Elihu(config=load_config(flags=flags))
        text = " ".join(str(error).split())
        database = app.config.describe_database()
        click.echo(
            "elihu: warning: the app could not be imported, so its own settings do not count "
            f"({database}): {text}",
            err=True,
        )
        return app
    if over := {
        name: value for name, value in flags.items() if value is not None and name != "app"
    }:
        app.override(**over)
    return app


def import_app(name: str, label: str) -> Elihu:
    """The ``Elihu`` at ``module:attribute``. ``label`` says where the name stands.

    The module is looked for in the folder of the configuration file that names it and
    in the working folder too. Raises ``ConfigError``.
    """
    module_name, _, path = name.partition(":")
    folders = _folders(label)
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = import_module(module_name)
    except ElihuError as error:
        raise ConfigError(f"module {module_name!r}: {error} ({_place(error)})") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"app: expected the module {module_name!r}, got {_why(module_name, error, folders)} "
            f"({label})"
        ) from error
    found: Any = module
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ConfigError(
                f"app: expected {path!r} in the module {module_name!r}, got {_apps_in(module)} "
                f"({label})"
            )
        found = getattr(found, attribute)
    if not isinstance(found, Elihu):
        raise ConfigError(
            f"app: expected {name!r} to be an Elihu, got a value of type {type(found).__name__} "
            f"({label})"
        )
    return found


def run(app: Elihu, work: Callable[[Elihu], Awaitable[T]]) -> T:
    """Do the work in a loop of its own, and close the app."""

    async def whole() -> T:
        async with app:
            return await work(app)

    return asyncio.run(whole())


def _folders(label: str) -> list[str]:
    """The folder of the configuration file, where that is what ``label`` means, and the
    working folder.
    """
    here = Path.cwd()
    file = find_file(here)
    home = file.path.parent if file and label == f"file {file.path}" else here
    return [str(folder) for folder in dict.fromkeys([home, here])]


def _why(module_name: str, error: BaseException, folders: list[str]) -> str:
    if (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and f"{module_name}.".startswith(f"{error.name}.")
    ):
        places = (
            "the working folder" if len(folders) == 1 else f"{folders[0]}, in the working folder"
        )
        return f"no module named {error.name!r} in {places} or among the installed packages"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__} while importing it: {text} ({_place(error)})"


def _place(error: BaseException) -> str:
    """Where the user's own code raised it, or called what raised it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    others = [frame for frame in frames if not frame.filename.startswith((_ELIHU, "<frozen "))]
    own = [frame for frame in others if not frame.filename.startswith(_LIBRARIES)]
    frame = (own or others or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}"


def _apps_in(module: ModuleType) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, Elihu)]
    return (
        f"no such name; apps there are {', '.join(apps)}"
        if apps
        else "no such name, and no Elihu under another"
    )
