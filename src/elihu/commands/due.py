"""Which ticks of a cron a dispatch is for.

A dispatch is for one minute: the ``tick`` that its job was made for. Minutes without a
dispatch of their own are missed; the ``catch_up`` of the schedule says what becomes of
their occurrences.

    catch_up   occurrence of the minute itself   missed occurrences
    none       runs                              are skipped
    last       runs                              the newest of all runs, others are skipped
    all        runs                              the newest 100 of all run, others are skipped
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from elihu import Cron
from elihu.commands.models import CatchUp

MOST_RUN: Final = 100
"""The most occurrences that run at once with ``catch_up="all"``."""
MOST_SKIPPED: Final = 100
"""The most skipped occurrences that are returned; the oldest one represents those before."""
MINUTE: Final = timedelta(minutes=1)
_MOMENT: Final = timedelta(microseconds=1)


class Skipped(NamedTuple):
    """An occurrence that does not run, and why."""

    at: datetime
    reason: str


class Due(NamedTuple):
    """The occurrences that run and those that do not, each oldest first, in UTC."""

    run: tuple[datetime, ...]
    skipped: tuple[Skipped, ...]


def due(
    cron: Cron,
    catch_up: CatchUp,
    *,
    after: datetime,
    tick: datetime,
    others: Collection[datetime] = (),
) -> Due:
    """The occurrences after ``after`` up to ``tick``. ``others`` are ticks that have a
    dispatch of their own, which is still to come.
    """
    own: list[datetime] = []
    missed: list[datetime] = []
    found = cron.previous(tick + _MOMENT)
    while found is not None and found > after:
        at = found.astimezone(UTC)
        if tick - at < MINUTE:
            own.append(at)
        elif len(missed) == MOST_RUN + MOST_SKIPPED:
            break
        elif not any(timedelta() <= other - at < MINUTE for other in others):
            missed.append(at)
        found = cron.previous(found)
    most = {"none": 0, "last": 1 - len(own), "all": MOST_RUN - len(own)}[catch_up]
    run = [*own, *missed[: max(most, 0)]]
    left_out = missed[max(most, 0) :]
    skipped = [Skipped(at, f"missed, and catch_up is {catch_up}") for at in left_out]
    if len(skipped) > MOST_SKIPPED:
        skipped = skipped[:MOST_SKIPPED]
        last = skipped.pop()
        skipped.append(Skipped(last.at, f"{last.reason}; so were earlier ones"))
    return Due(tuple(reversed(run)), tuple(reversed(skipped)))


def window_start(tick: datetime, up_to: datetime | None, since: Collection[datetime]) -> datetime:
    """After which occurrences a dispatch for ``tick`` looks, where all up to ``up_to``
    are dispatched, and its schedule, crons and links count from ``since``.
    """
    begun = tick - MINUTE
    if up_to is not None and up_to < tick:
        begun = min(begun, up_to)
    return max(begun, *since)
