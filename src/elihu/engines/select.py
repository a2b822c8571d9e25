"""The one place that decides which engine an app uses."""

from importlib import import_module
from types import ModuleType
from typing import Any, Literal, cast

from elihu.config import Config
from elihu.engines.protocol import Engine, MigrationStep
from elihu.engines.schema_steps import missing
from elihu.errors import ConfigError
from elihu.telemetry.bus import Bus

EngineName = Literal["postgres", "sqlite"]


def engine_name(config: Config) -> EngineName:
    """The engine of ``config.database_url``."""
    return "sqlite" if config.database_url.startswith("sqlite:") else "postgres"


def engine_for(config: Config, bus: Bus) -> Engine:
    """A new, unopened engine for ``config.database_url``. Its driver is imported here and
    not before.

    Raises ``ConfigError`` where the driver is not installed.
    """
    if engine_name(config) == "sqlite":
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


async def driver_connection(config: Config) -> Any:
    """A new connection of the driver to PostgreSQL, for the caller to close. Raises
    ``ConfigError`` where the database is SQLite, and ``DatabaseUnavailable``.
    """
    if engine_name(config) == "sqlite":
        raise ConfigError("database_url: expected a PostgreSQL URL, got an SQLite file")
    module = import_module("elihu.engines.postgres.connect")
    return await module.connect_alone(config.database_url)


def in_transaction(engine: EngineName) -> ModuleType:
    """The module that works on callers' connections to ``engine``. It imports no driver."""
    return import_module(f"elihu.engines.{engine}.in_transaction")


def migration_steps(config: Config, after: int = 0) -> list[MigrationStep]:
    """The migrations after a version, oldest first. It imports no driver."""
    steps = import_module(f"elihu.engines.{engine_name(config)}.steps")
    return [
        MigrationStep(
            step.version,
            step.name.removesuffix(".sql"),
            steps.statements(step, config.schema),
            step.kind == "transaction",
        )
        for step in missing(steps.MIGRATIONS, after)
    ]
