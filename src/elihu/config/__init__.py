"""Settings: normalised, defaulted, validated and frozen in one place."""

from elihu.config.load import changed_config, find_app, load_config
from elihu.config.model import (
    CommandsConfig,
    Config,
    LifelineConfig,
    PrunerConfig,
    RetentionConfig,
    StagerConfig,
    WebConfig,
)

__all__ = [
    "CommandsConfig",
    "Config",
    "LifelineConfig",
    "PrunerConfig",
    "RetentionConfig",
    "StagerConfig",
    "WebConfig",
    "changed_config",
    "find_app",
    "load_config",
]
