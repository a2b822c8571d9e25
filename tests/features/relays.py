"""What the tests of relays share: apps that hear by announcements alone, and a look at
what waits.
"""

from typing import Any

from elihu import (
    Relay,
)
from elihu.telemetry.events import Ticked
from tests.support import QUICK, EventRecorder

HOUR = 3_600.0


HEARS: dict[str, Any] = {**QUICK, "poll": HOUR, "poll_fallback": HOUR}
"""An app that would wait for ever if nothing announced an end."""


class Boom(Exception):
    pass


def refs(relays: list[Relay[Any]]) -> list[int]:
    return [relay.ref for relay in relays]


async def looked(events: EventRecorder, jobs: int = 1) -> None:
    """Return when so many jobs were looked up and are waited for."""
    await events.until(
        lambda: any(
            event.service == "relay" and event.data["waiting_count"] >= jobs
            for event in events.of(Ticked)
        )
    )
