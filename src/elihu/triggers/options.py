"""The options of a trigger, checked when it is declared."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypedDict, get_args

from elihu.duration import Duration, parse_duration
from elihu.errors import InvalidTrigger
from elihu.options import Backoff, check_range
from elihu.schedule import CatchUp
from elihu.task.json_paths import show
from elihu.task.options import check_bool, check_known, check_name, check_names, check_tags

TriggerState = Literal["active", "paused", "deleted"]

EVERY_MINUTE: Final = "* * * * *"
LARGEST_BATCH: Final = 100_000


class ActorPersister(Protocol):
    """Stores an actor as JSON and finds it again; either method may be asynchronous."""

    def store(self, actor: Any) -> Any:
        """Return the JSON value that is stored in place of ``actor``."""
        ...

    def lookup(self, stored: Any) -> Any:
        """The actor of what ``store`` returned; of None the actor of a job without one.
        An error it raises is an error of the job.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """One call of the action for many records: at most ``size`` (2 to 10,000) that a
    node runs at the same moment, gathered for at most ``timeout`` (seconds, a
    ``timedelta`` or text). ``by`` is a callable of the job's arguments: jobs with
    different values never share a call, nor do those of different tenants or actors.
    A chunk is never larger than the slots of its queue.
    """

    size: int = 100
    timeout: Duration = 1.0
    by: Callable[[Mapping[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        check_range("Chunk(size=)", self.size, 2, 10_000)
        parse_duration(self.timeout, "Chunk(timeout=)")
        if self.by is not None and not callable(self.by):
            raise InvalidTrigger(f"Chunk(by=): expected a callable, got {self.by!r}")

    @property
    def seconds(self) -> float:
        """``timeout`` in seconds."""
        return parse_duration(self.timeout, "Chunk(timeout=)")


class TriggerKeywords(TypedDict, total=False):
    """What ``@app.trigger`` takes beside the model."""

    name: str
    aliases: Iterable[str]
    where: Any
    order_by: Any
    record_limit: int | None
    batch_size: int
    stream_with: Literal["keyset"]
    read: Callable[[], Any] | None
    worker_read: Callable[[], Any] | None
    cron: str | None
    tz: str
    catch_up: CatchUp
    queue: str
    scheduler_queue: str
    priority: int
    scheduler_priority: int
    max_attempts: int
    max_scheduler_attempts: int
    backoff: Backoff
    timeout: Duration | None
    tags: Iterable[str]
    worker_opts: Mapping[str, Any]
    lock: bool
    once: bool | timedelta
    action_input: Mapping[str, Any]
    extra_args: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None
    read_metadata: Callable[[Any], Mapping[str, Any]] | None
    on_error: Callable[..., Any] | None
    on_error_fails_job: bool
    log_errors: bool
    log_final_error: bool
    debug: bool
    state: TriggerState
    tenants: Any
    tenant_from_record: Callable[[Any], Any] | None
    tenant_column: Any
    tenant_schema: bool
    actor_persister: ActorPersister | None
    default_actor: Any
    authorize: Callable[..., Any] | None
    chunk: Chunk | None
    sessions: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOptions:
    """The options of one trigger, as they apply. What the app decides is None here
    unless the trigger says otherwise: ``tenants``, ``actor_persister``, ``authorize``
    and ``sessions``.
    """

    where: Any = None
    order_by: tuple[Any, ...] = ()
    record_limit: int | None = None
    batch_size: int = 1_000
    stream_with: Literal["keyset"] = "keyset"
    read: Callable[[], Any] | None = None
    worker_read: Callable[[], Any] | None = None
    cron: str | None = EVERY_MINUTE
    tz: str = "UTC"
    catch_up: CatchUp = "last"
    queue: str = "default"
    scheduler_queue: str = "default"
    priority: int = 2
    scheduler_priority: int = 3
    max_attempts: int = 1
    max_scheduler_attempts: int = 1
    task_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    lock: bool = True
    once: bool | timedelta = False
    action_input: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    extra_args: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None = None
    read_metadata: Callable[[Any], Mapping[str, Any]] | None = None
    on_error: Callable[..., Any] | None = None
    on_error_fails_job: bool = False
    log_errors: bool = True
    log_final_error: bool = True
    debug: bool = False
    state: TriggerState = "active"
    tenants: Any = None
    tenant_from_record: Callable[[Any], Any] | None = None
    tenant_column: Any = None
    tenant_schema: bool = False
    actor_persister: ActorPersister | None = None
    default_actor: Any = None
    authorize: Callable[..., Any] | None = None
    chunk: Chunk | None = None
    sessions: Any = None


_TASK_OPTIONS: Final = ("backoff", "timeout", "tags")
_CALLABLES: Final = (
    "read", "worker_read", "read_metadata", "tenant_from_record", "authorize", "on_error",
)  # fmt: skip
_FLAGS: Final = (
    "lock", "on_error_fails_job", "log_errors", "log_final_error", "debug", "tenant_schema",
)  # fmt: skip


def parse_trigger_options(what: str, given: TriggerKeywords, *, queue: str) -> TriggerOptions:
    """The options of a trigger; ``queue`` is its queue where none is given. The model's
    own are checked with it. Raises ``InvalidTrigger`` and ``InvalidOption``.
    """
    check_known(what, given, TriggerKeywords.__optional_keys__)
    checked: dict[str, Any] = {"queue": queue}
    task_options: dict[str, Any] = {}
    for name, value in given.items():
        place = f"{what}: {name}"
        match name:
            case "name" | "aliases":
                continue
            case "queue" | "scheduler_queue":
                checked[name] = check_name(place, value)
            case "priority" | "scheduler_priority":
                checked[name] = check_range(place, value, 0, 9)
            case "max_attempts" | "max_scheduler_attempts":
                checked[name] = check_range(place, value, 1, 1_000_000)
            case "batch_size":
                checked[name] = check_range(place, value, 1, LARGEST_BATCH)
            case "record_limit" if value is not None:
                checked[name] = check_range(place, value, 1, 2**31)
            case "stream_with":
                checked[name] = _one_of(place, value, ("keyset",))
            case "state":
                checked[name] = _one_of(place, value, get_args(TriggerState))
            case "order_by":
                checked[name] = tuple(value) if isinstance(value, list | tuple) else (value,)
            case "worker_opts":
                task_options |= _mapping(place, value)
            case "action_input":
                checked[name] = MappingProxyType(dict(_mapping(place, value)))
            case "extra_args" if value is not None and not callable(value):
                checked[name] = MappingProxyType(dict(_mapping(place, value)))
            case "once":
                checked[name] = _once(place, value)
            case "chunk" if value is not None and not isinstance(value, Chunk):
                raise InvalidTrigger(f"{place}: expected Chunk(…) or None, got {show(value)}")
            case _ if name in _TASK_OPTIONS:
                task_options[name] = value
            case _ if name in _FLAGS:
                checked[name] = check_bool(place, value)
            case _ if name in _CALLABLES and value is not None and not callable(value):
                raise InvalidTrigger(f"{place}: expected a callable or None, got {show(value)}")
            case _:
                checked[name] = value
    checked.setdefault("scheduler_queue", checked["queue"])
    options = TriggerOptions(**checked, task_options=MappingProxyType(task_options))
    _check_together(what, options)
    return options


def names_of(what: str, given: TriggerKeywords) -> tuple[str, ...]:
    """The aliases given. Raises ``InvalidOption``."""
    return tuple(check_names(f"{what}: aliases", given.get("aliases", ())))


def _check_together(what: str, options: TriggerOptions) -> None:
    persister = options.actor_persister
    if persister is not None and not all(
        callable(getattr(persister, name, None)) for name in ("store", "lookup")
    ):
        raise InvalidTrigger(
            f"{what}: actor_persister: expected an object with store() and lookup(), got "
            f"{show(persister)}"
        )
    if options.tenant_schema and options.tenant_column is not None:
        raise InvalidTrigger(f"{what}: expected one of tenant_column and tenant_schema, got both")
    if options.chunk is not None and options.on_error is not None and not options.lock:
        raise InvalidTrigger(f"{what}: chunk: expected lock=True with on_error, got lock=False")
    check_tags(f"{what}: tags", options.task_options.get("tags", ()))


def _one_of(place: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise InvalidTrigger(f"{place}: expected one of {', '.join(allowed)}, got {show(value)}")
    return value


def _mapping(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidTrigger(f"{place}: expected a dictionary with names, got {show(value)}")
    return value


def _once(place: str, value: Any) -> bool | timedelta:
    if isinstance(value, timedelta):
        parse_duration(value, place)
        return value
    return check_bool(place, value)
