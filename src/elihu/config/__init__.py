"""Settings: normalised, defaulted, validated and frozen in one place."""

from elihu.config.load import find_app, load_config
from elihu.config.model import Config, LifelineConfig, PrunerConfig, RetentionConfig, StagerConfig

__all__ = [
    "Config",
    "LifelineConfig",
    "PrunerConfig",
    "RetentionConfig",
    "StagerConfig",
    "find_app",
    "load_config",
]
