"""Short ways to load settings and to see them refused."""

from collections.abc import Callable
from typing import Any

import pytest

from elihu.config import (
    Config,
)
from elihu.errors import ConfigError

DAY = 86_400.0


def nested(key: str, value: object) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: nested(rest, value) if rest else value}


def read(config: Config, key: str) -> Any:
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def variable(key: str) -> str:
    return f"ELIHU_{key.upper().replace('.', '__')}"


def refused(load: Callable[..., Config], key: str, value: object) -> str:
    """The message with which the key, given as a keyword, is refused."""
    with pytest.raises(ConfigError) as caught:
        load(**nested(key, value))
    message = str(caught.value)
    assert message.startswith(key.partition(".")[0])
    assert f"(keyword {key.partition('.')[0]})" in message
    return message


def refused_variable(load: Callable[..., Config], key: str, text: str) -> str:
    """The same for the environment."""
    with pytest.raises(ConfigError) as caught:
        load({variable(key): text})
    message = str(caught.value)
    assert message.startswith(f"{key}: expected")
    assert message.endswith(f"(environment variable {variable(key)})")
    return message
