"""Loads the app of a command: the user's app, or one without tasks that only has a
database.
"""

import asyncio
import sys
import sysconfig
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import click

from elihu.app import Elihu
from elihu.cli.options import SharedOptions
from elihu.config import find_app, load_config
from elihu.config.sources import find_file
from elihu.errors import ConfigError, ElihuError

T = TypeVar("T")

_ELIHU: Final = f"{Path(__file__).parents[1]}/"
_LIBRARIES: Final = tuple(
    f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")
)


class AppNeed(Enum):
    """How much of the user's app a command needs."""

    SETTINGS = "settings"
    """Its settings, if it can be imported. A failed import is a warning, unless
    ``--app`` names the app.
    """
    APP = "app"
    """The app, if one is configured. A failed import is an error."""
    TASKS = "tasks"
    """The app. A missing app is an error."""


def open_app(
    shared_options: SharedOptions, *, need: AppNeed = AppNeed.SETTINGS, **flags: Any
) -> Elihu:
    """Load the app named by a flag, the environment or a file, and override its
    settings with the flags. Without a name, return an app without tasks.

    Raises ``ConfigError``. Raises ``click.UsageError`` for an invalid flag, and for a
    missing app if ``need`` is ``TASKS``.
    """
    flags |= {
        "app": shared_options.app,
        "database_url": shared_options.database,
        "schema": shared_options.schema,
    }
    try:
        load_config(flags=flags, read_files=False, read_environment=False)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    named = find_app(flags=flags)
    if named is None:
        if need is AppNeed.TASKS:
            raise click.UsageError(
                "app: expected --app module:attribute, ELIHU_APP or app in a configuration file, "
                "got none (in a Django project, DJANGO_SETTINGS_MODULE names it)"
            )
        return Elihu(config=load_config(flags=flags))
    try:
        app = import_app(*named)
    except ConfigError as error:
        if need is not AppNeed.SETTINGS or shared_options.app is not None:
            raise
        app = Elihu(config=load_config(flags=flags))
        text = " ".join(str(error).split())
        database = app.config.describe_database()
        click.echo(
            "elihu: warning: the app could not be imported, its own settings are ignored "
            f"({database}): {text}",
            err=True,
        )
        return app
    if over := {
        name: value for name, value in flags.items() if value is not None and name != "app"
    }:
        app.override(**over)
    app.config = replace(app.config, app=named.value)
    return app


def import_app(name: str, label: str) -> Elihu:
    """Import the ``Elihu`` at ``module:attribute``. ``label`` is the source of the
    name.

    The folder of the configuration file that names the module and the working folder
    are added to ``sys.path``. Raises ``ConfigError``.
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
    """Run ``work`` in a new event loop, and close the app."""

    async def whole() -> T:
        async with app:
            return await work(app)

    return asyncio.run(whole())


def _folders(label: str) -> list[str]:
    """The folder of the configuration file, if ``label`` names that file, and the
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
    """The file and line in the user's code that raised the error, or led to it."""
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
        f"no such name; the module has {', '.join(apps)}"
        if apps
        else "no such name, and no Elihu under another name"
    )
