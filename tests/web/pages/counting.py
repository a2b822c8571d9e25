"""Counts what a page asks the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from elihu import Elihu
from elihu.telemetry.events import EngineCalled


class Calls:
    """Counts the statements of sessions and the calls of the engine."""

    def __init__(self) -> None:
        self.number = 0

    def count(self, *_: Any) -> None:
        self.number += 1


@contextmanager
def counted(app: Elihu) -> Iterator[Calls]:
    """What is asked meanwhile."""
    calls = Calls()
    event.listen(Engine, "before_cursor_execute", calls.count)
    forget = app.on(EngineCalled, calls.count)
    try:
        yield calls
    finally:
        forget()
        event.remove(Engine, "before_cursor_execute", calls.count)
