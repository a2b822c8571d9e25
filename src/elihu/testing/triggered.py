"""What a test expects of triggers: their jobs, and what a scan would choose."""

import json
from typing import Any

from elihu.app import Elihu
from elihu.errors import InvalidOption
from elihu.job import Job
from elihu.testing.enqueued import SHOWN, line
from elihu.triggers import Trigger


async def assert_triggered(
    app: Elihu, trigger: Trigger | str, record: Any, count: int | None
) -> Job:
    """The newest job of the trigger for a record. Raises ``AssertionError``."""
    __tracebackhide__ = True
    name, found, others = await _jobs(app, trigger, record)
    if not found:
        shown = "".join(f"\n  {line(job)}" for job in others[-SHOWN:])
        raise AssertionError(
            f"expected a job of trigger {name} for {_named(record)}\n"
            f"got {len(others) or 'none'}{' of other records' * bool(others)}{shown}"
        )
    if count is not None and len(found) != count:
        raise AssertionError(
            f"expected {count} jobs of trigger {name} for {_named(record)}, got {len(found)}"
        )
    return found[-1]


async def refute_triggered(app: Elihu, trigger: Trigger | str, record: Any) -> None:
    """Raise ``AssertionError`` if there is a job of the trigger for a record."""
    __tracebackhide__ = True
    name, found, _ = await _jobs(app, trigger, record)
    if found:
        raise AssertionError(
            f"expected no job of trigger {name} for {_named(record)}\n"
            f"got {len(found)}: {line(found[-1])}"
        )


async def assert_would_schedule(app: Elihu, trigger: Trigger | str, record: Any) -> None:
    """Raise ``AssertionError`` unless a scan would choose the record."""
    __tracebackhide__ = True
    found = _trigger(app, trigger)
    chosen, others = await _chosen(found, record)
    if not chosen:
        state = found.options.state
        why = "" if state == "active" else f", which is {state},"
        raise AssertionError(
            f"expected a scan of trigger {found.name}{why} to choose {_named(record)}\n"
            f"got {others} other record{'s' * (others != 1)}"
        )


async def refute_would_schedule(app: Elihu, trigger: Trigger | str, record: Any) -> None:
    """Raise ``AssertionError`` if a scan would choose the record."""
    __tracebackhide__ = True
    found = _trigger(app, trigger)
    chosen, _ = await _chosen(found, record)
    if chosen:
        raise AssertionError(
            f"expected a scan of trigger {found.name} to leave {_named(record)} out\n"
            "got a scan that chooses it"
        )


def _trigger(app: Elihu, trigger: Trigger | str) -> Trigger:
    if isinstance(trigger, Trigger):
        return trigger
    if isinstance(trigger, str):
        return app.triggers.get(trigger)
    raise InvalidOption(f"expected a trigger or its name, got {trigger!r}")


async def _jobs(
    app: Elihu, trigger: Trigger | str, record: Any
) -> tuple[str, list[Job], list[Job]]:
    """The name of the trigger, its jobs for the record, and those for others."""
    found = _trigger(app, trigger)
    names = [found.task.name, *found.task.aliases]
    jobs = (await app.jobs.list(task=names, limit=1_000)).items[::-1]
    if record is None:
        return found.name, jobs, []
    key = _key(found, record)
    own = [job for job in jobs if job.args.get("key") == key]
    return found.name, own, [job for job in jobs if job.args.get("key") != key]


async def _chosen(trigger: Trigger, record: Any) -> tuple[bool, int]:
    """Whether a scan would choose the record, and how many others."""
    key, chosen, others = _key(trigger, record), False, 0
    async for job in trigger.compiled.scanner.would_store():
        if json.loads(job.args)["key"] == key:
            chosen = True
        else:
            others += 1
    return chosen, others


def _key(trigger: Trigger, record: Any) -> Any:
    return json.loads(json.dumps(list(trigger.key.of(record))))


def _named(record: Any) -> str:
    return "any record" if record is None else repr(record)
