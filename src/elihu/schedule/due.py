"""Which ticks of an entry are to be fired now."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from elihu.schedule.cron import Cron

CatchUp = Literal["none", "last", "all"]
CATCH_UPS: Final[tuple[str, ...]] = get_args(CatchUp)

MOST_MISSED: Final = 100
"""So many missed ticks are made up for at most."""
LATE: Final = timedelta(minutes=1)
"""With ``none``, a tick that could not be fired for so long counts as missed."""
_MOMENT: Final = timedelta(microseconds=1)


class Due(NamedTuple):
    """The ticks to fire, oldest first; the newest one, up to which the entry is settled
    by that; whether some are left out.
    """

    occurrences: tuple[datetime, ...]
    until: datetime
    skipped: bool


def due_occurrences(
    cron: Cron, catch_up: CatchUp, last: datetime, now: datetime, booted_at: datetime | None
) -> Due | None:
    """What is due at ``now`` of an entry that is settled up to ``last``; None for
    nothing.

    ``@reboot`` is due once after ``booted_at``, when the first node started.
    """
    if cron.at_reboot:
        due = booted_at is not None and last < booted_at <= now
        return Due((booted_at,), booted_at, False) if due and booted_at is not None else None
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
