"""Commands: the shell commands that people keep."""

from pathlib import Path
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields, InvalidOption
from elihu.commands.models import (
    ACTIVE,
    Alert,
    AlertCommand,
    Command,
    CommandJob,
    Mode,
    Overlap,
    Variable,
)
from elihu.commands.rules.fields import UNSET, Fields, Unset
from elihu.commands.rules.rows import Page, add, change, find, lock, one_at_a_time, page
from elihu.commands.runner import names_in

KIND: Final = "command"
LONGEST: Final = 100_000
"""Bytes of a command: Linux takes no argument of more than 128 KiB."""
OF_PROCESSES: Final = "the arguments of an argv command show in the list of processes"
_MONTH: Final = 31 * 86_400.0


async def create(
    session: AsyncSession,
    *,
    name: str,
    shell_command: str,
    enabled: bool = True,
    timeout: float = 60.0,
    max_attempts: int = 1,
    overlap: Overlap = "skip",
    mode: Mode = "shell",
    working_directory: str | None = None,
    output_limit: int = 10 * 2**20,
    rerun_lost: bool = False,
    keep_background: bool = False,
    memory_limit: int | None = None,
    cpu_seconds: int | None = None,
    open_files: int | None = None,
) -> Command:
    """Store a command. ``timeout`` is in seconds, ``output_limit`` and ``memory_limit``
    in bytes. Raises ``InvalidFields`` and ``NameTaken``.
    """
    values = _checked(
        name=name,
        shell_command=shell_command,
        enabled=enabled,
        timeout=timeout,
        max_attempts=max_attempts,
        overlap=overlap,
        mode=mode,
        working_directory=working_directory,
        output_limit=output_limit,
        rerun_lost=rerun_lost,
        keep_background=keep_background,
        memory_limit=memory_limit,
        cpu_seconds=cpu_seconds,
        open_files=open_files,
    )
    await _check_argv(session, values["mode"], values["shell_command"])
    command = Command(**values)
    await add(session, command, KIND)
    return command


async def update(
    session: AsyncSession,
    command_id: UUID,
    *,
    version: int | None = None,
    name: str | Unset = UNSET,
    shell_command: str | Unset = UNSET,
    enabled: bool | Unset = UNSET,
    timeout: float | Unset = UNSET,
    max_attempts: int | Unset = UNSET,
    overlap: Overlap | Unset = UNSET,
    mode: Mode | Unset = UNSET,
    working_directory: str | Unset | None = UNSET,
    output_limit: int | Unset = UNSET,
    rerun_lost: bool | Unset = UNSET,
    keep_background: bool | Unset = UNSET,
    memory_limit: int | Unset | None = UNSET,
    cpu_seconds: int | Unset | None = UNSET,
    open_files: int | Unset | None = UNSET,
) -> Command:
    """Change a command; runs that are under way keep what they began with. Raises
    ``RecordNotFound``, ``RecordChanged``, ``InvalidFields`` and ``NameTaken``.
    """
    values = _checked(
        name=name,
        shell_command=shell_command,
        enabled=enabled,
        timeout=timeout,
        max_attempts=max_attempts,
        overlap=overlap,
        mode=mode,
        working_directory=working_directory,
        output_limit=output_limit,
        rerun_lost=rerun_lost,
        keep_background=keep_background,
        memory_limit=memory_limit,
        cpu_seconds=cpu_seconds,
        open_files=open_files,
    )
    command = await lock(session, Command, command_id, KIND, version)
    await _check_argv(
        session,
        values.get("mode", command.mode),
        values.get("shell_command", command.shell_command),
    )
    await change(session, command, values, KIND)
    return command


async def delete(session: AsyncSession, command_id: UUID, *, version: int | None = None) -> Command:
    """Delete a command and its schedules. Its runs stay. Raises ``RecordNotFound``,
    ``RecordChanged``, and ``InvalidFields`` while a run has not ended, or where an alert
    is for this command alone.
    """
    await one_at_a_time(session)
    command = await lock(session, Command, command_id, KIND, version)
    fields = Fields()
    active = select(CommandJob.id).where(
        CommandJob.command_id == command_id, CommandJob.status.in_(ACTIVE)
    )
    if await session.scalar(active.limit(1)) is not None:
        fields.fail("command_id", "a run has not ended: kill it first")
    mine = select(AlertCommand.alert_id).where(AlertCommand.command_id == command_id)
    others = exists().where(
        AlertCommand.alert_id == Alert.id, AlertCommand.command_id != command_id
    )
    alone = select(Alert.name).where(Alert.id.in_(mine), ~others)
    if (alert := await session.scalar(alone.limit(1))) is not None:
        fields.fail(
            "command_id",
            f"the alert {alert!r} is for this command alone: change or delete it first",
        )
    fields.done()
    await session.delete(command)
    await session.flush()
    return command


async def get(session: AsyncSession, command_id: UUID) -> Command:
    """Raises ``RecordNotFound``."""
    return await find(session, Command, command_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    enabled: bool | None = None,
    text: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Command]:
    """A page of commands, oldest first; with ``text`` those whose name or command has
    it.
    """
    statement = select(Command)
    if enabled is not None:
        statement = statement.where(Command.enabled.is_(enabled))
    if text:
        statement = statement.where(
            or_(
                Command.name_key.contains(text.casefold(), autoescape=True),
                Command.shell_command.contains(text, autoescape=True),
            )
        )
    return await page(session, statement, Command, after=after, limit=limit)


def _checked(**given: Any) -> dict[str, Any]:
    fields = Fields()
    fields.name("name", given["name"])
    fields.text("shell_command", given["shell_command"], low=1, high=LONGEST)
    if isinstance(given["shell_command"], str) and not given["shell_command"].strip():
        fields.fail("shell_command", "expected a command, got blanks alone")
    fields.flag("enabled", given["enabled"])
    fields.seconds("timeout", given["timeout"], 0, _MONTH)
    fields.whole("max_attempts", given["max_attempts"], 1, 100)
    fields.one_of("overlap", given["overlap"], get_args(Overlap))
    fields.one_of("mode", given["mode"], get_args(Mode))
    directory = given["working_directory"]
    fields.text("working_directory", directory, low=1, high=4_096, none=True, lines=False)
    if isinstance(directory, str) and directory and not Path(directory).is_absolute():
        fields.fail("working_directory", f"expected an absolute path, got {directory!r:.80}")
    fields.whole("output_limit", given["output_limit"], 1_024, 2**30)
    fields.flag("rerun_lost", given["rerun_lost"])
    fields.flag("keep_background", given["keep_background"])
    fields.whole("memory_limit", given["memory_limit"], 2**20, 2**50, none=True)
    fields.whole("cpu_seconds", given["cpu_seconds"], 1, 2**31, none=True)
    fields.whole("open_files", given["open_files"], 8, 2**20, none=True)
    fields.done()
    return fields.values


async def _check_argv(session: AsyncSession, mode: str, text: str) -> None:
    """Raise ``InvalidFields`` for an ``argv`` command that cannot be split or names a
    secret.
    """
    if mode != "argv":
        return
    await one_at_a_time(session)
    try:
        names = names_in(text)
    except InvalidOption as error:
        raise InvalidFields(("shell_command", str(error))) from error
    secrets = select(Variable.name).where(Variable.name.in_(names), Variable.secret.is_not(None))
    if (name := await session.scalar(secrets.limit(1))) is not None:
        detail = f"{OF_PROCESSES}: expected no secret, got ${name}"
        raise InvalidFields(("shell_command", detail))


async def argv_commands_naming(session: AsyncSession, name: str) -> list[str]:
    """The names of ``argv`` commands that use the variable ``name``."""
    # Quotes can split a name in the text, so the text is not searched for it.
    candidates = select(Command.name, Command.shell_command).where(
        Command.mode == "argv", Command.shell_command.contains("$")
    )
    found = await session.execute(candidates)
    return [command for command, text in found if name in names_in(text)]
