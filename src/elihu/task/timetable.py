"""Cron entries declared in code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from elihu.errors import DuplicateCron, InvalidOption, InvalidTask
from elihu.options import Unique
from elihu.schedule import CATCH_UPS, CatchUp, Cron, CronSpec
from elihu.task.json_paths import show
from elihu.task.options import UsingKeywords, check_name
from elihu.task.task import Task

_OF_ONE_ENQUEUE: Final = ("delay", "run_at", "hold", "conn", "notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCron:
    """An entry declared by ``@app.cron``. ``named`` is whether its name was given;
    ``unique`` is the rule for its jobs.
    """

    name: str
    named: bool
    task: Task[..., Any]
    spec: CronSpec
    unique: Unique | None


class Timetable:
    """The entries that an app's code declares, by name."""

    def __init__(self) -> None:
        self._entries: dict[str, DeclaredCron] = {}

    def add(self, *entries: DeclaredCron) -> None:
        """Register all of ``entries``, or none if a name is taken: ``DuplicateCron``."""
        self._entries |= self.check(*entries)

    def check(self, *entries: DeclaredCron) -> dict[str, DeclaredCron]:
        """``entries`` by name. Raises ``DuplicateCron`` if ``add`` would."""
        added: dict[str, DeclaredCron] = {}
        for entry in entries:
            known = {**self._entries, **added}
            for other in known.values():
                if other.task is entry.task and not (other.named and entry.named):
                    raise DuplicateCron(
                        f"cron of task {entry.task.name!r}: expected name= for each of several "
                        "entries on one task, got one without"
                    )
            if entry.name in known:
                raise DuplicateCron(
                    f"cron {entry.name!r}: expected a new name, got the name of another entry: "
                    "give one of them name="
                )
            added[entry.name] = entry
        return added

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> DeclaredCron | None:
        """The entry of that name."""
        return self._entries.get(name)

    def __iter__(self) -> Iterator[DeclaredCron]:
        return iter(self._entries.values())


def declare_cron(
    task: Task[..., Any],
    cron: Cron,
    *,
    catch_up: CatchUp,
    name: str | None,
    prefix: str,
    args: Mapping[str, Any] | None,
    using: UsingKeywords,
) -> DeclaredCron:
    """An entry of ``task``. Raises ``InvalidOption`` and ``InvalidArguments``."""
    what = f"cron of task {task.name!r}"
    for option in _OF_ONE_ENQUEUE:
        if option in using:
            raise InvalidOption(
                f"{what}: expected options that each of its jobs can have, got {option}"
            )
    given = {} if args is None else args
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidOption(
            f"{what}: args: expected a dictionary of the task's arguments by name, got {show(args)}"
        )
    named = name is not None
    full = (
        check_name(f"{what}: name", prefix + check_name(f"{what}: name", name))
        if named
        else task.name
    )
    spec = CronSpec(
        cron=cron, catch_up=check_catch_up(what, catch_up), job=task.using(**using).build(**given)
    )
    return DeclaredCron(
        name=full,
        named=named,
        task=task,
        spec=spec,
        unique=using.get("unique", task.options.unique),
    )


def check_catch_up(what: str, value: Any) -> CatchUp:
    """Return ``value``, "none", "last" or "all". Raises ``InvalidOption``."""
    if value not in CATCH_UPS:
        raise InvalidOption(
            f"{what}: catch_up: expected one of {', '.join(CATCH_UPS)}, got {show(value)}"
        )
    checked: CatchUp = value
    return checked


def check_has_name(function: Any) -> None:
    """Raise ``InvalidTask`` for a function inside a function, whose name is not stable.
    ``name=`` names the entry, not the task.
    """
    if "<" in getattr(function, "__qualname__", ""):
        raise InvalidTask(
            f"cron: expected a task, or a function of a module, got {function.__qualname__}: "
            "a function inside a function needs @app.task(name=…) below @app.cron"
        )
