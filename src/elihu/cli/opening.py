"""Opens the app that a command works with: the user's own, or a bare one with just a database."""

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import click

from elihu.app import Elihu
from elihu.cli.options import Given
from elihu.config import find_app, load_config
from elihu.errors import ConfigError

T = TypeVar("T")


def open_app(given: Given, *, needs_tasks: bool = False, **flags: Any) -> Elihu:
    """The app named by a flag, the environment or a file, with the flags laid over its settings; else an app without tasks.

    Raises ``ConfigError``, and ``click.UsageError`` for a flag that is wrong by itself and for an absent app where tasks are needed.
    """
    flags |= {"app": given.app, "database_url": given.database, "schema": given.schema}
    try:
        load_config(flags=flags, read_files=False, read_environment=False)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    named = find_app(flags=flags)
    if named is None:
        if needs_tasks:
            raise click.UsageError("app: expected --app module:attribute, ELIHU_APP or app in a configuration file, got none")
        return Elihu(config=load_config(flags=flags))
    app = import_app(*named)
    if over := {name: value for name, value in flags.items() if value is not None and name != "app"}:
        app.override(**over)
    return app


def import_app(name: str, label: str) -> Elihu:
    """The ``Elihu`` at ``module:attribute``, looked for from the working folder too. ``label`` says where the name stands.

    Raises ``ConfigError``.
    """
    module_name, _, path = name.partition(":")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 (an entry of sys.path is a text)
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"app: expected the module {module_name!r}, got {_why(module_name, error)} ({label})") from error
    found: Any = module
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise ConfigError(f"app: expected {path!r} in the module {module_name!r}, got {_apps_in(module)} ({label})")
        found = getattr(found, attribute)
    if not isinstance(found, Elihu):
        raise ConfigError(f"app: expected {name!r} to be an Elihu, got a value of type {type(found).__name__} ({label})")
    return found


def run(app: Elihu, work: Callable[[Elihu], Awaitable[T]]) -> T:
    """Do the work in a loop of its own, and close the app."""

    async def whole() -> T:
        async with app:
            return await work(app)

    return asyncio.run(whole())


def _why(module_name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
        return f"no module named {error.name!r} in the working folder or among the installed packages"
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}, line {frame.lineno}"
    return f"{type(error).__name__} while importing it: {error} ({place})"


def _apps_in(module: ModuleType) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, Elihu)]
    return f"no such name; apps there are {', '.join(apps)}" if apps else "no such name, and no Elihu under another"
