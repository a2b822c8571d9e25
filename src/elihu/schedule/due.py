"""Which occurrences of a cron entry are due."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from elihu.schedule.cron import Cron

CatchUp = Literal["none", "last", "all"]
CATCH_UPS: Final[tuple[str, ...]] = get_args(CatchUp)

MOST_MISSED: Final = 100
"""The largest number of missed occurrences that fire with ``catch_up="all"``."""
LATE: Final = timedelta(minutes=1)
"""With ``catch_up="none"``, an occurrence that is this late counts as missed."""
_MOMENT: Final = timedelta(microseconds=1)


class Due(NamedTuple):
    """The due occurrences, oldest first.

    ``until`` is the newest one; the entry is done up to it afterwards. ``skipped`` is
    whether some occurrences are left out.
    """

    occurrences: tuple[datetime, ...]
    until: datetime
    skipped: bool


def due_occurrences(
    cron: Cron, catch_up: CatchUp, last: datetime, now: datetime, booted_at: datetime | None
) -> Due | None:
    """The due occurrences at ``now`` of an entry that is done up to ``last``, or None.

    ``@reboot`` is due once after ``booted_at``, the start of the first node.
    """
    if cron.at_reboot:
        # Where the clock was ahead, last is in the future: then any start before now is due.
        if booted_at is None or booted_at > now or booted_at <= last <= now:
            return None
        return Due((booted_at,), booted_at, False)
    newest = cron.previous(now + _MOMENT)
    if newest is None or newest <= last:
        return None
    most = MOST_MISSED if catch_up == "all" else 1
    occurrences = [newest]
    while (
        (older := cron.previous(occurrences[-1])) is not None
        and older > last
        and len(occurrences) < most
    ):
        occurrences.append(older)
    missed = catch_up == "none" and now - newest >= LATE
    fired = () if missed else tuple(tick.astimezone(UTC) for tick in reversed(occurrences))
    return Due(fired, newest.astimezone(UTC), missed or (older is not None and older > last))
