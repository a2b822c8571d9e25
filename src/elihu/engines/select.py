"""Chooses the engine that a database URL asks for."""

from importlib import import_module
from typing import cast

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.errors import ConfigError
from elihu.telemetry.bus import Bus


def engine_for(config: Config, bus: Bus) -> Engine:
    """A new, unopened engine for ``config.database_url``; a driver is imported only
    when its engine is asked for.

    Raises ``ConfigError`` where the driver is not installed.
    """
    if config.database_url.startswith("sqlite:"):
        return cast(Engine, import_module("elihu.engines.sqlite.engine").SqliteEngine(config, bus))
    try:
        module = import_module("elihu.engines.postgres.engine")
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigError(
            "database_url: PostgreSQL needs its driver; expected asyncpg, got none: install "
            '"elihu[postgres]"'
        ) from error
    return cast(Engine, module.PostgresEngine(config, bus))
