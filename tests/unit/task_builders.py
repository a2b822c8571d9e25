"""Short ways to declare a task and to see it refused."""

from collections.abc import Callable
from typing import Any

import pytest

from elihu.errors import InvalidOption
from elihu.task.declare import declare
from elihu.task.task import Task


def make(fn: Callable[..., Any] | None = None, **options: Any) -> Task[..., Any]:
    def plain(a: int, b: int = 2) -> None: ...

    return declare(fn or plain, {"name": "plain", **options})  # type: ignore[typeddict-item]


def refused(**options: Any) -> str:
    with pytest.raises(InvalidOption) as caught:
        make(**options)
    message = str(caught.value)
    assert message.startswith("task plain: ")
    return message
