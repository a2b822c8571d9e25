"""A file is stored by name, in one transaction, and says what it changes."""

from typing import Any

import pytest

from elihu import InvalidFields
from elihu.commands.host import Host
from elihu.commands.rules import alerts
from elihu.commands.transfer.apply import Change, apply
from elihu.commands.transfer.document import parse, render
from elihu.commands.transfer.stored import export

FILE = """version = 1

[[environment]]
name = "prod"

[[environment]]
name = "Test"
enabled = false

[[cron]]
name = "nightly"
expression = "0 3 * * *"
timezone = "Europe/Oslo"

[[cron]]
name = "hourly"
expression = "@hourly"

[[command]]
name = "Backup"
shell_command = "backup"
timeout = 600

[[command]]
name = "report"
shell_command = "report $DAY"
mode = "argv"

[[schedule]]
command = "Backup"
environments = ["prod", "Test"]
crons = ["nightly"]

[[schedule]]
command = "Backup"
environments = ["prod"]
crons = ["hourly"]
enabled = false

[[variable]]
name = "DAY"
value = "monday"

[[variable]]
name = "DAY"
value = "friday"
environments = ["Test"]

[[alert]]
name = "oops"
on = ["failed", "recovered"]
channel = "email"
target = "ops@example.org"
commands = ["Backup"]
"""


async def stored(host: Host, text: str, **options: Any) -> list[Change]:
    async with host.sessions.begin() as session:
        return await apply(session, host, parse(text), **options)


async def exported(host: Host) -> str:
    async with host.sessions.read() as session:
        return render(await export(session))


def actions(changes: list[Change]) -> list[tuple[str, str]]:
    return [(each.action, each.name) for each in changes if each.action != "unchanged"]


async def test_all_of_it_comes_back(host: Host) -> None:
    assert await exported(host) == "version = 1\n"
    changes = await stored(host, FILE)
    assert {each.action for each in changes} == {"created"}
    assert len(changes) == 11
    assert await exported(host) == FILE
    assert {each.action for each in await stored(host, FILE)} == {"unchanged"}
    assert {each.action for each in await stored(host, await exported(host))} == {"unchanged"}


async def test_what_differs_is_changed(host: Host) -> None:
    await stored(host, FILE)
    changed = (
        FILE.replace('name = "Backup"\n', 'name = "backup"\n')
        .replace("timeout = 600", 'timeout = 30\nworking_directory = "/srv"')
        .replace('["prod", "Test"]', '["Test", "prod"]')
        .replace('value = "friday"', 'value = "sunday"')
        .replace('"recovered"]', '"lost"]')
    )
    changes = await stored(host, changed)
    assert {each.name: dict(each.fields) for each in changes if each.action != "unchanged"} == {
        "command 'backup'": {
            "name": ("Backup", "backup"),
            "timeout": (600.0, 30),
            "working_directory": (None, "/srv"),
        },
        "schedule of 'Backup'": {"environments": (("prod", "Test"), ("Test", "prod"))},
        "variable 'DAY' of Test": {"value": ("friday", "sunday")},
        "alert 'oops'": {"on": (("failed", "recovered"), ("failed", "lost"))},
    }
    assert {each.action for each in await stored(host, changed)} == {"unchanged"}


async def test_what_the_file_lacks_stays_or_is_pruned(host: Host) -> None:
    await stored(host, FILE)
    fewer = "version = 1\n[[environment]]\nname = 'prod'\n"
    assert actions(await stored(host, fewer)) == []
    assert await exported(host) == FILE
    deleted = actions(await stored(host, fewer, prune=True))
    assert {action for action, _ in deleted} == {"deleted"}
    assert len(deleted) == 10
    assert await exported(host) == 'version = 1\n\n[[environment]]\nname = "prod"\n'


async def test_a_schedule_is_matched_by_its_links_then_by_order(host: Host) -> None:
    await stored(host, FILE)
    reverse = FILE.replace('crons = ["hourly"]\nenabled = false', 'crons = ["hourly"]').replace(
        'crons = ["nightly"]', 'crons = ["nightly", "hourly"]'
    )
    changes = [each for each in await stored(host, reverse) if each.action != "unchanged"]
    assert [dict(each.fields) for each in changes] == [
        {"crons": (("nightly",), ("nightly", "hourly"))},
        {"enabled": (False, True)},
    ]


SECRET = """version = 1
[[variable]]
name = "KEY"
secret = true
[[alert]]
name = "hook"
on = ["failed"]
channel = "webhook"
target = "https://example.org/hook"
secret = true
"""


async def test_secrets_are_there_by_name_only(host: Host) -> None:
    assert actions(await stored(host, SECRET)) == [
        ("no secret", "variable 'KEY'"),
        ("no secret", "alert 'hook'"),
        ("created", "alert 'hook'"),
    ]
    assert actions(await stored(host, SECRET, secrets={"KEY": "hunter22"})) == [
        ("created", "variable 'KEY'"),
        ("no secret", "alert 'hook'"),
    ]
    text = await exported(host)
    assert 'name = "KEY"\nsecret = true' in text
    assert "hunter22" not in text
    assert actions(await stored(host, SECRET)) == [("no secret", "alert 'hook'")]
    (change,) = (
        each for each in await stored(host, SECRET, secrets={"KEY": "other"}) if each.fields
    )
    assert (change.action, dict(change.fields)) == ("updated", {"secret": (True, True)})


async def signs(host: Host) -> str | None:
    """The secret of the only alert."""
    async with host.sessions.read() as session:
        (alert,) = (await alerts.find_all(session)).items
        return alerts.secret_of(alert, host.keyring())


async def test_the_secret_of_an_alert_can_be_given(host: Host) -> None:
    given = {"KEY": "hunter22", "alert hook": "signing key"}
    assert actions(await stored(host, SECRET, secrets=given)) == [
        ("created", "variable 'KEY'"),
        ("created", "alert 'hook'"),
    ]
    assert await signs(host) == "signing key"
    assert actions(await stored(host, SECRET)) == []
    assert actions(await stored(host, SECRET, secrets={"alert hook": "another key"})) == [
        ("updated", "alert 'hook'")
    ]
    assert await signs(host) == "another key"
    none = SECRET.removesuffix("secret = true\n")
    assert actions(await stored(host, none)) == [("updated", "alert 'hook'")]
    assert await signs(host) is None


async def test_all_that_is_wrong_is_said_and_nothing_is_stored(host: Host) -> None:
    wrong = (
        FILE.replace("timeout = 600", "timeout = -1")
        .replace('expression = "@hourly"', 'expression = "61 * * * *"')
        .replace('environments = ["Test"]', 'environments = ["Tset"]')
    )
    with pytest.raises(InvalidFields) as caught:
        await stored(host, wrong)
    assert [field for field, _ in caught.value.errors] == [
        "cron 'hourly': expression",
        "command 'Backup': timeout",
        "schedule of 'Backup': command",
        "schedule of 'Backup': command",
        "variable 'DAY' of Tset: environments",
        "alert 'oops': commands",
    ]
    assert "command 'Backup' has an error" in str(caught.value)
    assert await exported(host) == "version = 1\n"


async def test_a_dry_run_stores_nothing(host: Host) -> None:
    async with host.sessions.begin() as session:
        changes = await apply(session, host, parse(FILE))
        await session.rollback()
    assert len(changes) == 11
    assert await exported(host) == "version = 1\n"
