"""The command scheduler as a part of the node that ``elihu up`` or ``elihu start`` runs."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from elihu.cli.group import is_of_extra, packages_of

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.commands import CommandScheduler

EXTRA: Final = "elihu[commands]"
QUEUES: Final = ("commands_dispatch", "commands", "commands_alerts")


@dataclass(frozen=True, slots=True)
class SchedulerPart:
    """``scheduler`` is None where the node serves none of its queues, or where its
    libraries are missing: ``note`` says so.
    """

    scheduler: "CommandScheduler | None" = None
    note: str | None = None

    def running(self) -> AbstractAsyncContextManager[Any]:
        """What is open while the node runs."""
        return self.scheduler or nullcontext()

    async def prepare(self, app: "Elihu", *, migrate: bool) -> str | None:
        """Check the keys for secrets; make the tables and a first key, or check that the
        tables are there; what to print of it. Raises ``SchemaOutdated``, ``SchemaTooNew`` and
        ``SecretError``.
        """
        if self.scheduler is None:
            return self.note
        from elihu.commands.secrets import key_file, load_keyring, make_key_file

        load_keyring(app.config)
        if not migrate:
            await app.tables.check("commands")
            return None
        versions = await app.migrate("commands")
        tables = f"migrated to version {versions[-1]}" if versions else "up to date"
        if made := make_key_file(app.config):
            return f"tables {tables}; made a key for secrets in {made}: keep a copy of it"
        where = "ELIHU_SECRET_KEY" if app.config.secret_key else str(key_file(app.config))
        return f"tables {tables}; key for secrets in {where}"


def scheduler_part(app: "Elihu", *, named: str | None, always: bool) -> SchedulerPart:
    """The scheduler on an app: with ``always`` unless ``--queues`` (``named``) leaves all
    its queues out, else only where one of them is configured. Raises ``Failure`` where
    ``--queues`` names one of them and its packages are missing.
    """
    if not (always and named is None) and not set(QUEUES) & set(app.config.queues):
        return SchedulerPart()
    try:
        with nullcontext() if named is None else packages_of(EXTRA):
            from elihu.commands.scheduler import scheduler_of
    except ModuleNotFoundError as error:
        if not is_of_extra(error):
            raise
        return SchedulerPart(note=f"not served: {error.name} is missing, install {EXTRA}")
    return SchedulerPart(scheduler_of(app))


def serves_only_commands(queues: str | None) -> bool:
    """Whether ``--queues`` names queues of the scheduler alone: no app is needed then."""
    named = [pair.partition("=")[0].strip() for pair in (queues or "").split(",")]
    return set(named) <= set(QUEUES)


def with_its_queues(app: "Elihu", part: SchedulerPart) -> Mapping[str, int]:
    """Add the scheduler's queues to those of the app's configuration; its queues."""
    assert part.scheduler is not None
    queues = part.scheduler.queues
    app.config = replace(app.config, queues={**queues, **app.config.queues})
    return {name: app.config.queues[name] for name in queues}
