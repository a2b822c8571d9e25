"""The options of a task and of ``using``, and their checks."""

import difflib
import inspect
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypedDict, get_args

from pydantic_core import PydanticSerializationError, from_json, to_json

from elihu.duration import Duration, parse_duration
from elihu.errors import InvalidOption
from elihu.options import Backoff, Unique, check_range
from elihu.task.json_paths import dotted, find, show
from elihu.task.other_words import OTHER_WORDS
from elihu.task.plain_json import NotPlainJson, check_plain

Exceptions = type[BaseException] | tuple[type[BaseException], ...]
Fence = Literal["tell", "cancel"]

LONGEST_NAME: Final = 200
LARGEST_META: Final = 65_536
MOST_TAGS: Final = 100
MOST_ATTEMPTS: Final = 1_000_000

SHORTEST: Final = 0.001
LONGEST_TIMEOUT: Final = 366 * 86_400.0


class CommonOptions(TypedDict, total=False):
    """Options that both a task and ``using`` take."""

    queue: str
    priority: int
    max_attempts: int
    timeout: Duration | None
    expires: Duration | None
    unique: Unique | None
    tags: Iterable[str]
    meta: Mapping[str, Any]
    record: bool


class FunctionKeywords(CommonOptions, total=False):
    """Options of ``task``, and of ``cron`` on a function."""

    aliases: Iterable[str]
    run_in: Literal["loop", "thread", "process"] | None
    backoff: Backoff | None
    retry_on: Exceptions | None
    discard_on: Exceptions | None
    max_orphans: int
    fence: Fence | None
    template: str | None


class TaskKeywords(FunctionKeywords, total=False):
    """Options of ``task``."""

    name: str | None
    log_errors: bool
    log_final_error: bool


class UsingKeywords(CommonOptions, total=False):
    """Options of ``using``."""

    delay: Duration | None
    run_at: datetime | None
    hold: bool
    backoff: Duration
    conn: Any
    notify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How the jobs of a task are stored, retried and ended.

    ``backoff`` is seconds, a callable, or None for the exponential one. ``timeout`` and
    ``expires`` are seconds, None for no limit. ``retry_on`` None retries any exception.
    ``meta`` is plain JSON. ``fence`` None is that of the settings. ``template`` is the
    code of the template that ``app.templates.sync()`` makes from the task.
    ``log_errors`` and ``log_final_error`` are whether failed attempts are logged: those
    that are tried again, and the last one.
    """

    queue: str = "default"
    priority: int = 0
    max_attempts: int = 20
    backoff: Backoff | None = None
    timeout: float | None = None
    expires: float | None = None
    unique: Unique | None = None
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    retry_on: tuple[type[BaseException], ...] | None = None
    discard_on: tuple[type[BaseException], ...] = ()
    max_orphans: int = 3
    fence: Fence | None = None
    record: bool = False
    template: str | None = None
    log_errors: bool = True
    log_final_error: bool = True


def check_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``InvalidOption`` for a name that is no option, and suggest the nearest
    one.
    """
    names = sorted(known)
    for name in given:
        if name in names:
            continue
        hint = ""
        if name in OTHER_WORDS:
            hint = f": write {OTHER_WORDS[name]}"
        elif near := difflib.get_close_matches(name, names, n=1):
            hint = f" (did you mean {near[0]}?)"
        raise InvalidOption(
            f"{what}: expected an option out of {', '.join(names)}, got {name}{hint}"
        )


def check_name(what: str, value: Any) -> str:
    """Return ``value``, a text of 1 to 200 characters that has no control characters;
    raise ``InvalidOption`` otherwise.
    """
    if (
        isinstance(value, str)
        and 1 <= len(value) <= LONGEST_NAME
        and not any(unicodedata.category(c) in {"Cc", "Cs"} for c in value)
    ):
        return str(value)
    raise InvalidOption(
        f"{what}: expected a text of 1 to {LONGEST_NAME} characters without control characters, "
        f"got {show(value)}"
    )


def check_bool(what: str, value: Any) -> bool:
    """Return ``value``, True or False; raise ``InvalidOption`` otherwise."""
    if isinstance(value, bool):
        return value
    raise InvalidOption(f"{what}: expected True or False, got {show(value)}")


def check_run_at(what: str, value: Any) -> datetime:
    """Return ``value``, a ``datetime`` with a time zone, in UTC. Raise ``InvalidOption``
    for anything else, and outside the years 2 to 9998: a change of zone could leave the
    calendar.
    """
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidOption(f"{what}: expected a datetime with a time zone, got {value!r}")
    if not 1 < value.year < MAXYEAR:
        raise InvalidOption(
            f"{what}: expected a time in the years 2 to {MAXYEAR - 1}, got {value!r}"
        )
    return value.astimezone(UTC)


def check_names(what: str, value: Any) -> tuple[str, ...]:
    """The texts in ``value``, each checked by ``check_name``, without repetitions."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidOption(f"{what}: expected a list of texts, got {show(value)}")
    return tuple(dict.fromkeys(check_name(what, name) for name in value))


def check_tags(what: str, value: Any) -> tuple[str, ...]:
    """The tags in ``value``, trimmed, lower-cased and without repetitions; at most 100.
    Raises ``InvalidOption``.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidOption(f"{what}: expected a list of texts, got {show(value)}")
    tags = check_names(
        what, [tag.strip().lower() if isinstance(tag, str) else tag for tag in value]
    )
    if len(tags) > MOST_TAGS:
        raise InvalidOption(f"{what}: expected at most {MOST_TAGS} tags, got {len(tags)}")
    return tags


def check_meta(
    what: str, value: Any, largest: int = LARGEST_META
) -> tuple[dict[str, Any], str | None]:
    """A copy of ``value``, an object of plain JSON of at most ``largest`` bytes, and
    its JSON (None where it is empty).

    Raises ``InvalidOption``.
    """
    if not isinstance(value, Mapping):
        raise InvalidOption(f"{what}: expected a dictionary of plain JSON, got {show(value)}")
    try:
        data = to_json(check_plain(dict(value)))
        copy = from_json(data)
    except NotPlainJson as error:
        where = f": {dotted(error.path)}" if error.path else ""
        raise InvalidOption(
            f"{what}{where}: expected {error.expected}, got {show(error.value)}"
        ) from error
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidOption(f"{what}: expected plain JSON, got {error}") from error
    if len(data) > largest:
        raise InvalidOption(
            f"{what}: expected at most {largest:,} bytes of JSON, got {len(data):,}"
        )
    if (path := find(copy, lambda part: isinstance(part, str) and "\0" in part)) is not None:
        raise InvalidOption(
            f"{what}: {dotted(path)}: expected text without NUL characters, got one"
        )
    return copy, data.decode() if copy else None


def check_exceptions(what: str, value: Any) -> tuple[type[BaseException], ...]:
    """The exception types in ``value``, one or a tuple of them; raise ``InvalidOption``
    for anything else.
    """
    kinds = tuple(value) if isinstance(value, tuple | list) else (value,)
    if kinds and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return kinds
    raise InvalidOption(f"{what}: expected exception types, got {show(value)}")


def check_backoff(what: str, value: Any) -> Backoff:
    """Return ``value``: a duration, in seconds, or a callable of the job and the error.
    Raises ``InvalidOption``.
    """
    if not callable(value):
        return parse_duration(value, what)
    if inspect.iscoroutinefunction(value):
        raise InvalidOption(
            f"{what}: expected a duration or a plain function of the job and the error, got the "
            f"async {show(value)}"
        )
    backoff: Callable[..., Any] = value
    return backoff


def check_timeout(what: str, value: Any) -> float | None:
    """Return ``value``, a duration from a millisecond to 366 days, in seconds, or None.
    Raises ``InvalidOption``.
    """
    seconds = check_expires(what, value)
    if seconds is not None and seconds > LONGEST_TIMEOUT:
        raise InvalidOption(f"{what}: expected at most 366 days, or None, got {value!r}")
    return seconds


def check_expires(what: str, value: Any) -> float | None:
    """Return ``value``, a duration from a millisecond to a hundred years, in seconds,
    or None. Raises ``InvalidOption``.
    """
    if value is None:
        return None
    seconds = parse_duration(value, what)
    if seconds < SHORTEST:
        raise InvalidOption(
            f"{what}: expected at least a millisecond, or None for no limit, got {value!r}"
        )
    return seconds


def check_unique(what: str, value: Any, arguments: Iterable[str]) -> Unique | None:
    """Return ``value``, whose ``keys`` must be among ``arguments``. Raises
    ``InvalidOption``.
    """
    if value is None:
        return None
    if not isinstance(value, Unique):
        raise InvalidOption(f"{what}: expected Unique(…) or None, got {show(value)}")
    names = sorted(arguments)
    for key in value.keys or ():
        if key not in names:
            raise InvalidOption(
                f"{what}: keys: expected some of the task's arguments "
                f"({', '.join(names) or 'it has none'}), got {key!r}"
            )
    return value


def parse_task_options(what: str, given: TaskKeywords, arguments: Iterable[str]) -> TaskOptions:
    """The options of a task whose arguments have these names; what is not given has its
    default. Raises ``InvalidOption``.
    """
    checked: dict[str, Any] = {}
    for name, value in given.items():
        place = f"{what}: {name}"
        match name:
            case "queue":
                checked[name] = check_name(place, value)
            case "priority":
                checked[name] = check_range(place, value, 0, 9)
            case "max_attempts":
                checked[name] = check_range(place, value, 1, MOST_ATTEMPTS)
            case "backoff" if value is not None:
                checked[name] = check_backoff(place, value)
            case "timeout":
                checked[name] = check_timeout(place, value)
            case "expires":
                checked[name] = check_expires(place, value)
            case "unique":
                checked[name] = check_unique(place, value, arguments)
            case "tags":
                checked[name] = check_tags(place, value)
            case "meta":
                checked[name] = MappingProxyType(check_meta(place, value)[0])
            case "retry_on" | "discard_on" if value is not None:
                checked[name] = check_exceptions(place, value)
            case "max_orphans":
                checked[name] = check_range(place, value, 1, 100)
            case "fence" if value is not None:
                if value not in get_args(Fence):
                    raise InvalidOption(f'{place}: expected "tell" or "cancel", got {value!r}')
                checked[name] = value
            case "template" if value is not None:
                checked[name] = check_name(place, value)
            case "record" | "log_errors" | "log_final_error":
                checked[name] = check_bool(place, value)
    return TaskOptions(**checked)
