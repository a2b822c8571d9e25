"""Delivers events to the handlers of their type."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from elihu.telemetry.events import Event

E = TypeVar("E", bound=Event)

logger = logging.getLogger("elihu")


class Bus:
    """Calls each handler in the thread that emits. A handler must not block. One that
    raises is logged.

    An emitter checks ``SomeEvent in bus`` before it builds the event, so that an event
    without handlers costs one look-up.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], None]]] = {}
        self._resolved: dict[type[Event], tuple[Callable[[Any], None], ...]] = {}

    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
        """Call ``handler`` for each event of this type and its subtypes. Returns a
        callable that removes the handler.
        """
        self._handlers.setdefault(event, []).append(handler)
        self._resolved = {}

        def off() -> None:
            if handler in (handlers := self._handlers.get(event, [])):
                handlers.remove(handler)
                self._resolved = {}

        return off

    def __contains__(self, event: type[Event]) -> bool:
        found = self._resolved.get(event)
        return bool(self._for(event) if found is None else found)

    def emit(self, event: Event) -> None:
        """Deliver ``event`` now."""
        for handler in self._for(type(event)):
            try:
                handler(event)
            except Exception:
                logger.exception("a handler of %s raised", type(event).__name__)

    def _for(self, event: type[Event]) -> tuple[Callable[[Any], None], ...]:
        # A handler that is added at the same time starts a new table.
        resolved = self._resolved
        found = resolved.get(event)
        if found is None:
            found = resolved[event] = tuple(
                handler for base in event.__mro__ for handler in self._handlers.get(base, ())
            )
        return found
