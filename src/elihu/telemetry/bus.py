"""Delivers events to those who asked for their type."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from elihu.telemetry.events import Event

E = TypeVar("E", bound=Event)

logger = logging.getLogger("elihu")


class Bus:
    """Calls each handler in the thread that emits; a handler must not block, and one
    that raises is logged.

    An emitter asks ``SomeEvent in bus`` before it builds the event, so that an event
    nobody wants costs one look-up.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], None]]] = {}
        self._resolved: dict[type[Event], tuple[Callable[[Any], None], ...]] = {}

    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
        """Call ``handler`` for each event of this type and its subtypes; the callable
        returned ends that.
        """
        self._handlers.setdefault(event, []).append(handler)
        self._resolved = {}

        def off() -> None:
            if handler in (handlers := self._handlers.get(event, [])):
                handlers.remove(handler)
                self._resolved = {}

        return off

    def __contains__(self, event: type[Event]) -> bool:
        return bool(self._for(event))

    def emit(self, event: Event) -> None:
        """Deliver ``event`` now."""
        for handler in self._for(type(event)):
            try:
                handler(event)
            except Exception:
                logger.exception("a handler of %s raised", type(event).__name__)

    def _for(self, event: type[Event]) -> tuple[Callable[[Any], None], ...]:
        resolved = (
            self._resolved
        )  # a handler added meanwhile begins a new table, and this one is not read again
        found = resolved.get(event)
        if found is None:
            found = resolved[event] = tuple(
                handler for base in event.__mro__ for handler in self._handlers.get(base, ())
            )
        return found
