"""``elihu commands import|export|rotate-key``."""

import os
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from elihu.cli.commands.group import commands, with_workspace
from elihu.cli.group import Failure
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.errors import InvalidFields

if TYPE_CHECKING:
    from elihu.cli.commands.group import Workspace
    from elihu.commands.crontab import CrontabRefusal, CrontabWarning
    from elihu.commands.transfer.apply import Change
    from elihu.commands.transfer.document import Document

Format = Literal["toml", "crontab", "system-crontab"]

STDIN: Final = "-"
DEADLINE: Final = 120.0
"""Seconds that an import may take."""
_SYSTEM: Final = ("/etc/crontab", "/etc/cron.d/")
_AUDITED: Final = {"created": "add", "updated": "change", "deleted": "delete"}
_ZONES: Final = "/zoneinfo/"


@commands.command("export")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False))
@shared_options
@pass_shared_options
def export(options: SharedOptions, /, file: str | None) -> None:
    """Write all that is set up as TOML.

    It goes to standard output or a file. Secrets are in it by name only.
    """

    async def read(space: "Workspace") -> str:
        from elihu.commands.transfer.document import render
        from elihu.commands.transfer.stored import export

        async with space.sessions.read() as session:
            return render(await export(session))

    text = with_workspace(options, read)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


@commands.command("import")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "given_format",
    type=click.Choice(["toml", "crontab", "system-crontab"]),
    help="Default: toml for a name in .toml, system-crontab for the files of /etc.",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, and store nothing.")
@click.option("--prune", is_flag=True, help="TOML: delete what the file does not have.")
@click.option(
    "--secrets",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help='TOML: values of secrets, as NAME = "value" or "alert NAME" = "value".',
)
@click.option("--environment", metavar="NAME", help='Crontab: default "crontab".')
@click.option("--timezone", metavar="ZONE", help="Crontab: default that of this machine.")
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="Crontab: of each command. Default a day."
)
@click.option("--any-user", is_flag=True, help="System crontab: take the lines of all users.")
@shared_options
@pass_shared_options
def import_file(
    options: SharedOptions,
    /,
    file: str,
    given_format: Format | None,
    dry_run: bool,
    prune: bool,
    secrets: str | None,
    **of_crontabs: Any,
) -> None:
    """Store what a file has: the TOML of an export, or a crontab.

    Items are matched by name. All of it is stored or nothing.
    """
    kind = given_format or _format_of(file)
    wrong = _flags_of_crontabs(of_crontabs) if kind == "toml" else _flags_of_toml(prune, secrets)
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)}: expected another format, got {kind}")
    text = _read(file)
    refusals: Sequence[CrontabRefusal] = ()
    warnings: Sequence[CrontabWarning] = ()
    try:
        if kind == "toml":
            from elihu.commands.transfer.document import parse

            document = parse(text)
        else:
            document, refusals, warnings = _of_crontab(text, kind, **of_crontabs)
        changes = _store(options, document, dry_run, prune, _secrets(secrets))
    except InvalidFields as error:
        raise Failure(f"{file}: nothing stored: {error}") from error
    _print(options, changes, refusals, warnings, dry_run=dry_run)


@commands.command("rotate-key")
@click.option("--reencrypt-only", is_flag=True, help="Make no new key: use the first one.")
@click.option("--keep-old", is_flag=True, help="Leave the old keys in the file.")
@shared_options
@pass_shared_options
def rotate_key(options: SharedOptions, /, reencrypt_only: bool, keep_old: bool) -> None:
    """Encrypt all secrets with a new key, and drop the old keys.

    With nodes on several machines: --keep-old first, then copy the key file to each,
    then --reencrypt-only. Keys in ELIHU_SECRET_KEY are not changed: put a new one
    before the others, then --reencrypt-only.
    """
    from elihu.cli.output import print_json

    async def rotate(space: "Workspace") -> dict[str, Any]:
        from elihu.commands.rules import alerts, variables
        from elihu.commands.secrets import add_key, drop_old_keys

        host = space.host
        if not reencrypt_only:
            add_key(host.config)
        keyring = host.keyring()
        async with space.sessions.begin(deadline=DEADLINE) as session:
            changed = await variables.reencrypt(session, keyring)
            changed += await alerts.reencrypt(session, keyring)
            await space.record(session, "rotate", "secret_key", name=keyring.current)
        if not keep_old and host.config.secret_key is None:
            drop_old_keys(host.config)
        return {"encrypted": changed, "key": keyring.current}

    done = with_workspace(options, rotate)
    if options.json:
        print_json(done)
        return
    secrets = "1 secret" if done["encrypted"] == 1 else f"{done['encrypted']:,} secrets"
    click.echo(f"{secrets} encrypted with the key {done['key']}")


def _store(
    options: SharedOptions,
    document: "Document",
    dry_run: bool,
    prune: bool,
    secrets: dict[str, str],
) -> "list[Change]":
    async def store(space: "Workspace") -> "list[Change]":
        from elihu.commands.transfer.apply import apply

        async with space.sessions.begin(deadline=DEADLINE) as session:
            changes = await apply(session, space.host, document, prune=prune, secrets=secrets)
            if dry_run:
                await session.rollback()
                return changes
            for change in changes:
                if change.action in _AUDITED:
                    before = {name: values[0] for name, values in change.fields.items()}
                    after = {name: values[1] for name, values in change.fields.items()}
                    await space.record(
                        session,
                        _AUDITED[change.action],
                        change.kind,
                        name=change.name,
                        before=before or None,
                        after=after or None,
                    )
            return changes

    return with_workspace(options, store)


def _of_crontab(
    text: str,
    kind: Format,
    *,
    environment: str | None,
    timezone: str | None,
    timeout: float | None,
    any_user: bool,
) -> "tuple[Document, Sequence[CrontabRefusal], Sequence[CrontabWarning]]":
    from elihu.commands.crontab import read_crontab
    from elihu.commands.transfer.from_crontab import TIMEOUT, document_of

    system = kind == "system-crontab"
    crontab = read_crontab(text, system=system, user=getuser() if system and not any_user else None)
    document = document_of(
        crontab,
        environment=environment or "crontab",
        timezone=timezone or local_zone(),
        timeout=TIMEOUT if timeout is None else timeout,
    )
    return document, crontab.refusals, crontab.warnings


def local_zone() -> str:
    """The name of this machine's time zone, ``UTC`` where it has none."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named and not named.startswith("/"):
        return named
    _, found, zone = os.path.realpath(named or "/etc/localtime").partition(_ZONES)
    return zone if found and zone != "Etc/UTC" else "UTC"


def _format_of(file: str) -> Format:
    if file.endswith(".toml"):
        return "toml"
    return "system-crontab" if str(Path(file).resolve()).startswith(_SYSTEM) else "crontab"


def _flags_of_crontabs(given: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name, value in given.items() if value]


def _flags_of_toml(prune: bool, secrets: str | None) -> list[str]:
    return [name for name, value in (("--prune", prune), ("--secrets", secrets)) if value]


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure(
            f"{file}: expected UTF-8, got {error.reason} at byte {error.start}"
        ) from error


def _secrets(file: str | None) -> dict[str, str]:
    """The values of secrets. No message shows what the file holds."""
    if file is None:
        return {}
    try:
        found = tomllib.loads(_read(file))
    except tomllib.TOMLDecodeError:
        found = None
    if found is None or not all(isinstance(value, str) for value in found.values()):
        raise Failure(f'{file}: expected lines NAME = "value" of TOML, got something else')
    return found


def _print(
    options: SharedOptions,
    changes: "Sequence[Change]",
    refusals: "Sequence[CrontabRefusal]",
    warnings: "Sequence[CrontabWarning]",
    *,
    dry_run: bool,
) -> None:
    from elihu.cli.output import cell, field_values, print_json, print_table

    if options.json:
        print_json(
            {
                "changes": [field_values(each) for each in changes],
                "refused": [field_values(each) for each in refusals],
                "warnings": [field_values(each) for each in warnings],
                "stored": not dry_run,
            }
        )
        return
    rows = [
        (each.action, each.name, "; ".join(_difference(each)) or None)
        for each in changes
        if each.action != "unchanged"
    ]
    if rows:
        print_table(("action", "item", "fields"), rows)
    for each in refusals:
        click.echo(f"elihu: line {each.line}: {cell(each.text)}: {each.reason}", err=True)
    for warning in warnings:
        click.echo(f"elihu: line {warning.line}: {warning.reason}", err=True)
    counts = Counter(each.action for each in changes)
    text = ", ".join(f"{count:,} {action}" for action, count in counts.items()) or "nothing to do"
    click.echo(f"{text}; nothing stored (--dry-run)" if dry_run else text)


def _difference(change: "Change") -> list[str]:
    if change.action == "no secret":
        return [f"no value: add --secrets FILE, or write it on the page of {change.kind}s"]
    return [
        f"{name}: changed" if name == "secret" else f"{name}: {before!r} → {after!r}"
        for name, (before, after) in change.fields.items()
    ]
