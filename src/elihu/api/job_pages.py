"""Pages of job summaries: which view serves a state, and cursors as opaque text."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from elihu.engines.protocol import Engine
from elihu.engines.protocol.reads import VIEWS, Place
from elihu.errors import InvalidOption
from elihu.job import JobFilter, JobState, JobSummary

_VIEWS: Final = {
    JobState.SUSPENDED: ("suspended",),
    JobState.SCHEDULED: ("scheduled",),
    JobState.AVAILABLE: ("available",),
    JobState.EXECUTING: ("executing",),
    JobState.RETRYABLE: ("scheduled",),
    JobState.COMPLETED: ("completed", "reviewed"),
    JobState.DISCARDED: ("discarded",),
    JobState.CANCELLED: ("cancelled",),
}
"""The views of a state, one after the other."""
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_TIMES: Final = frozenset({"scheduled_at", "finished_at", "prune_at"})
_LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class JobSummaryPage:
    """One page of summaries. ``next`` is ``after=`` for the next page, None at the end. A
    page may be short, or empty, and not the last: each reads a bounded number of jobs.
    """

    items: list[JobSummary] = field(default_factory=list)
    next: str | None = None


async def page(engine: Engine, where: JobFilter, after: str | None, limit: int) -> JobSummaryPage:
    """A page of the jobs of a filter. Raises ``InvalidOption`` for a cursor of another
    list.
    """
    views = _views(where)
    view, place = (views[0], None) if after is None else _decoded(after, views)
    queues = where.queue or ()
    only = queues[0] if view == "available" and len(queues) == 1 else None
    if only is not None and place is None:
        place = (only, -1, _FIRST, -1)  # the view begins with the queue
    found = await engine.summaries(view, where, place, limit)
    following = None
    if found.next is not None:
        if only is None or found.next[0] == only:  # what follows may be of other queues
            following = _encoded(view, found.next)
    elif view != views[-1]:
        following = _encoded(views[views.index(view) + 1], None)
    return JobSummaryPage(found.items, following)


def _views(where: JobFilter) -> tuple[str, ...]:
    """The views of one state; the newest jobs for any other filter."""
    if where.state is None or len(where.state) != 1:
        return ("newest",)
    return _VIEWS[where.state[0]]


def _encoded(view: str, place: Place | None) -> str:
    values = None if place is None else [_plain(value) for value in place]
    text = json.dumps([view, values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value


def _decoded(after: str, views: tuple[str, ...]) -> tuple[str, Place | None]:
    try:
        if len(after) > _LONGEST:
            raise ValueError
        text = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        view, values = json.loads(text)
        if view not in views:
            raise ValueError
        return view, None if values is None else _place(view, values)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidOption(
            f"after: expected the next of an earlier page of this list, got {after[:100]!r}"
        ) from None


def _place(view: str, values: Any) -> Place:
    order = VIEWS[view].order
    if not isinstance(values, list) or len(values) != len(order):
        raise ValueError
    return tuple(_value(name, value) for name, value in zip(order, values, strict=True))


def _value(name: str, value: Any) -> Any:
    if name == "queue":
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        value.encode()
        return value
    largest = {"priority": 9, "id": 2**63 - 1}.get(name, 253_402_128_000_000_000)
    if type(value) is not int or not -largest <= value <= largest:
        raise ValueError
    if name in _TIMES:
        return _EPOCH + timedelta(microseconds=value)
    return value
