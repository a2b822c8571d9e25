"""Uniqueness, backoff and the check of whole numbers."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from elihu.duration import Duration, parse_duration
from elihu.errors import InvalidOption
from elihu.job import Job

UniqueField = Literal["task", "args", "queue", "meta"]
ReplacedField = Literal["args", "priority", "scheduled_at", "meta", "tags", "queue", "max_attempts"]
UniqueStates = Literal["incomplete", "successful", "all"]
Backoff = Duration | Callable[[Job, BaseException], Duration]

SCOPES: Final[dict[str, int]] = {"incomplete": 0, "successful": 1, "all": 2}


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one job at a time with the same fields.

    ``by`` names the compared fields; ``keys`` restricts ``args`` to some arguments.
    ``period`` (seconds, a ``timedelta`` or text) compares only within fixed windows,
    counted from the epoch by the database's clock. A job conflicts in these ``states``:
    ``incomplete``, ``successful`` (incomplete and completed) or ``all``.
    ``on_conflict="skip"`` returns the existing job. ``{"replace": […]}`` first copies
    these fields of the new job to it, unless it runs or has ended, and computes its
    state again. Raises ``InvalidOption`` for anything else.
    """

    by: tuple[UniqueField, ...] = ("task", "args")
    keys: tuple[str, ...] | None = None
    period: Duration | None = None
    states: UniqueStates = "incomplete"
    on_conflict: Literal["skip"] | Mapping[Literal["replace"], Sequence[ReplacedField]] = field(
        default="skip", hash=False
    )

    def __post_init__(self) -> None:
        for name in ("by", "keys"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        known = get_args(UniqueField)
        if (
            not isinstance(self.by, tuple)
            or not self.by
            or not all(name in known for name in self.by)
        ):
            raise InvalidOption(
                f"Unique(by=): expected some of {', '.join(known)}, got {self.by!r}"
            )
        if self.keys is not None:
            if "args" not in self.by:
                raise InvalidOption(f'Unique(keys=): expected "args" among by, got by={self.by!r}')
            if (
                not isinstance(self.keys, tuple)
                or not self.keys
                or not all(isinstance(key, str) for key in self.keys)
            ):
                raise InvalidOption(
                    f"Unique(keys=): expected names of arguments, got {self.keys!r}"
                )
        if self.states not in tuple(SCOPES):
            raise InvalidOption(
                f"Unique(states=): expected one of {', '.join(SCOPES)}, got {self.states!r}"
            )
        if self.on_conflict != "skip":
            object.__setattr__(
                self,
                "on_conflict",
                MappingProxyType({"replace": _check_replaced(self.on_conflict)}),
            )
        if self.period is not None:
            seconds = parse_duration(self.period, "Unique(period=)")
            if seconds < 1:
                raise InvalidOption(
                    f"Unique(period=): expected at least one second, got {self.period!r}"
                )
            object.__setattr__(self, "period", seconds)

    @property
    def replaced(self) -> tuple[ReplacedField, ...]:
        """The fields that an existing job takes from the new one; none with ``"skip"``."""
        return () if self.on_conflict == "skip" else tuple(self.on_conflict["replace"])


def _check_replaced(given: Any) -> tuple[ReplacedField, ...]:
    known = get_args(ReplacedField)
    names = given["replace"] if isinstance(given, Mapping) and given.keys() == {"replace"} else None
    if not isinstance(names, list | tuple):
        raise InvalidOption(
            f'Unique(on_conflict=): expected "skip" or {{"replace": [fields]}}, got {given!r}'
        )
    if not names or not all(name in known for name in names):
        raise InvalidOption(
            f"Unique(on_conflict=): replace: expected some of {', '.join(known)}, got {names!r}"
        )
    return tuple(dict.fromkeys(names))


def exponential_backoff(
    failures: int, max_attempts: int, *, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after the ``failures``-th failure: ``15 + 2**n``, and up to 10 %
    more.

    With more than 20 attempts n is scaled down to at most 20: the longest wait is about
    12 days.
    """
    n = failures if max_attempts <= 20 else round(failures / max_attempts * 20)
    return float(15 + 2**n) * (1 + 0.1 * jitter())


def backoff_seconds(
    backoff: Backoff | None,
    job: Callable[[], Job],
    failures: int,
    max_attempts: int,
    error: BaseException,
) -> float:
    """The delay after this failure, in seconds. ``job`` is called only if ``backoff`` is
    a callable.
    """
    if backoff is None:
        return exponential_backoff(failures, max_attempts)
    if callable(backoff):
        return parse_duration(backoff(job(), error), "backoff()")
    return parse_duration(backoff, "backoff")


def check_range(what: str, value: Any, low: int, high: int) -> int:
    """Return ``value``, a whole number from ``low`` to ``high``; raise
    ``InvalidOption``, naming ``what``, for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidOption(
            f"{what}: expected a whole number from {low} to {high:,}, got {value!r}"
        )
    return value
