"""``Cron``: the occurrences of a cron expression in a time zone.

Daylight saving works as in Debian's cron:

    expression                   skipped hour                repeated hour
    * in the minute or hour      does not fire               fires twice
    fixed times                  fires once, right after     fires once, the first time

An offset change of three hours or more is a moved date line, not daylight saving: what
it skips does not fire. Dates come from cronsim in naive local time: its own handling of
zones misses half-hour changes and changes at midnight.
"""

from collections.abc import Callable
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim

from elihu.clock import SystemClock
from elihu.errors import InvalidCron, InvalidOption
from elihu.schedule.grammar import LONGEST, REBOOT, Expression, read_expression, refusal
from elihu.schedule.words import REBOOT_WORDS, describe

LARGEST_CHANGE: Final = timedelta(hours=3)
MOST_UPCOMING: Final = 10_000
_MOMENT: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


class Cron:
    """A cron expression of five fields, or a nickname such as ``@daily``, in the time
    zone ``tz``.

    ``@reboot`` has no occurrences. Raises ``InvalidCron`` for an expression that
    Debian's cron would refuse or that never fires, and for an unknown time zone.
    """

    __slots__ = ("_expression", "_zone", "text", "tz")

    def __init__(self, text: str, tz: str | ZoneInfo = "UTC") -> None:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise refusal(
                str(text), None, f"a text of at most {LONGEST:,} characters", f"{text!r:.80}"
            )
        self.text: Final = " ".join(text.split())
        self._zone: Final = _read_zone(tz)
        self.tz: Final[str] = self._zone.key
        self._expression: Final[Expression | None] = (
            None if self.text.lower() == REBOOT else read_expression(self.text)
        )

    @property
    def at_reboot(self) -> bool:
        """Whether this is ``@reboot``."""
        return self._expression is None

    def next(self, after: datetime) -> datetime | None:
        """The first occurrence after ``after``, in the time zone. None for ``@reboot``
        and past the year 9998.

        Raises ``InvalidOption`` for a ``datetime`` without a time zone.
        """
        found = (
            None
            if self._expression is None
            else self._after(self._expression, _instant("after", after))
        )
        return found and found.astimezone(self._zone)

    def previous(self, before: datetime) -> datetime | None:
        """The last occurrence before ``before``. None and errors as for ``next``."""
        found = (
            None
            if self._expression is None
            else self._before(self._expression, _instant("before", before))
        )
        return found and found.astimezone(self._zone)

    def upcoming(self, n: int, after: datetime | None = None) -> list[datetime]:
        """The next ``n`` occurrences (0 to 10,000) after ``after`` (default: now)."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= MOST_UPCOMING:
            raise InvalidOption(
                f"n: expected a whole number from 0 to {MOST_UPCOMING:,}, got {n!r}"
            )
        found: list[datetime] = []
        last = SystemClock().now() if after is None else after
        while len(found) < n and (following := self.next(last)) is not None:
            found.append(following)
            last = following
        return found

    def describe(self) -> str:
        """The schedule as an English sentence, without the time zone."""
        return REBOOT_WORDS if self._expression is None else describe(self._expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and (self.text, self.tz) == (other.text, other.tz)

    def __hash__(self) -> int:
        return hash((self.text, self.tz))

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, {self.tz!r})"

    def _after(self, expression: Expression, start: datetime) -> datetime | None:
        if not expression.wild:
            return self._fixed(
                expression, self._wall(start), reverse=False, fits=lambda moment: moment > start
            )
        here, wall = start, self._wall(start)
        while (local := _match(expression, wall, reverse=False)) is not None:
            found = self._under(here, local)
            change = self._first_change(here, found)
            if change is None:
                return found
            here = change
            wall = self._wall(change) - _SECOND
        return None

    def _before(self, expression: Expression, end: datetime) -> datetime | None:
        if not expression.wild:
            latest = max(self._wall(end), _naive(end) + self._offset(end - LARGEST_CHANGE))
            return self._fixed(expression, latest, reverse=True, fits=lambda moment: moment < end)
        here = end - _MOMENT
        wall = _naive(end) + self._offset(here)
        while (local := _match(expression, wall, reverse=True)) is not None:
            found = self._under(here, local)
            change = self._last_change(found, here)
            if change is None:
                return found
            here = change - _MOMENT
            wall = _naive(change) + self._offset(here)
        return None

    def _fixed(
        self,
        expression: Expression,
        wall: datetime,
        *,
        reverse: bool,
        fits: Callable[[datetime], bool],
    ) -> datetime | None:
        """Return the first match that fits. Later local times never map to earlier
        moments, so it is the nearest.
        """
        while (local := _match(expression, wall, reverse=reverse)) is not None:
            moment = self._moment_of(local)
            if moment is not None and fits(moment):
                return moment
            wall = local
        return None

    def _moment_of(self, local: datetime) -> datetime | None:
        """The first moment of a local time, or the end of the gap that skips it. None
        if the gap is three hours or more.
        """
        moment = local.replace(tzinfo=self._zone).astimezone(UTC)
        if self._wall(moment) == local:
            return moment
        skipped = self._offset(moment) - self._offset(moment - LARGEST_CHANGE)
        return (
            self._first_change(moment - LARGEST_CHANGE, moment)
            if skipped < LARGEST_CHANGE
            else None
        )

    def _under(self, here: datetime, local: datetime) -> datetime:
        """The moment of a local time with the offset in force at ``here``."""
        return (local - self._offset(here)).replace(tzinfo=UTC)

    def _first_change(self, low: datetime, high: datetime) -> datetime | None:
        """The first moment after ``low``, up to ``high``, at which the offset changes."""
        left = low
        while left < high:
            right = min(left + _DAY, high)
            if self._offset(right) != self._offset(left):
                return self._change_between(left, right)
            left = right
        return None

    def _last_change(self, low: datetime, high: datetime) -> datetime | None:
        """The last moment after ``low``, up to ``high``, at which the offset changes."""
        right = high
        while right > low:
            left = max(right - _DAY, low)
            if self._offset(left) != self._offset(right):
                return self._change_between(left, right)
            right = left
        return None

    def _change_between(self, left: datetime, right: datetime) -> datetime:
        left, old = left.replace(microsecond=0), self._offset(left)
        while right - left > _SECOND:
            middle = (left + (right - left) / 2).replace(microsecond=0)
            if self._offset(middle) == old:
                left = middle
            else:
                right = middle
        return left + _SECOND

    def _offset(self, moment: datetime) -> timedelta:
        offset = moment.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None)


def _match(expression: Expression, wall: datetime, *, reverse: bool) -> datetime | None:
    """The nearest matching local time strictly after ``wall``, or before it."""
    try:
        found: datetime | None = next(CronSim(expression.text, wall, reverse), None)
    except (OverflowError, ValueError):  # the calendar ends
        return None
    return found if found is not None and 1 < found.year < MAXYEAR else None


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _instant(what: str, value: Any) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidOption(f"{what}: expected a datetime with a time zone, got {value!r}")
    if not 1 < value.year < MAXYEAR:
        raise InvalidOption(
            f"{what}: expected a time in the years 2 to {MAXYEAR - 1}, got {value!r}"
        )
    return value.astimezone(UTC)


def _read_zone(tz: Any) -> ZoneInfo:
    try:
        return ZoneInfo(tz.key if isinstance(tz, ZoneInfo) else tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError, AttributeError):
        raise InvalidCron(
            f"tz: expected the name of a time zone such as Europe/Oslo, got {tz!r:.80}", field="tz"
        ) from None
