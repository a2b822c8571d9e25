"""Cron entries that cannot be read are listed with their error, and can be repaired."""

from typing import Any

import pytest

from elihu import Elihu, InvalidCron
from tests.engines.raw import Raw

pytestmark = pytest.mark.sqlite_first


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ("{}", "cron: expected a text"),
        ("[]", "expected an object of values"),
        ('{"cron": 5, "tz": "UTC", "catch_up": "last", "task": "t"}', "cron: expected a text"),
        ('{"cron": "no", "tz": "UTC", "catch_up": "last", "task": "t"}', "expected five fields"),
        ('{"cron": "@daily", "tz": "Moon", "catch_up": "last", "task": "t"}', "time zone"),
        ('{"cron": "@daily", "tz": "UTC", "catch_up": "last", "task": "t", "tags": 7}', "tags"),
        ('{"cron": "@daily", "tz": "UTC", "catch_up": "last", "task": "t", "args": "{"}', ""),
        ('{"cron": "@daily", "tz": "UTC", "catch_up": "last", "task": "t", "args": 7}', ""),
        (f'{{"cron": {"9" * 5_000}, "tz": "UTC", "catch_up": "last", "task": "t"}}', ""),
    ],
)
async def test_broken_entry_is_listed_beside_the_good_ones(
    app: Elihu, raw: Raw, changes: str, error: str
) -> None:
    for name in ("broken", "good"):
        await app.crons.create(name, "* * * * *", "t")
    await raw.execute("UPDATE cron SET changes = %s WHERE name = 'broken' RETURNING 1", changes)
    broken, good = await app.crons.list()
    assert (broken.name, good.name, good.error) == ("broken", "good", None)
    assert broken.error
    assert error in broken.error
    assert broken.next_at is None
    assert (await app.crons.get("broken")).error == broken.error
    assert (await app.crons.pause("broken")).paused
    await app.crons.delete("broken")
    assert [entry.name for entry in await app.crons.list()] == ["good"]


async def test_errors_name_the_broken_entry(app: Elihu, raw: Raw) -> None:
    await app.crons.create("broken", "* * * * *", "t")
    await raw.execute("UPDATE cron SET changes = '{}' WHERE name = 'broken' RETURNING 1")
    verbs: list[Any] = [app.crons.run_now, lambda name: app.crons.update(name, queue="q")]
    for verb in verbs:
        with pytest.raises(InvalidCron, match="cron 'broken'"):
            await verb("broken")


async def test_reset_repairs_an_entry_declared_in_code(app: Elihu, raw: Raw) -> None:
    @app.cron("0 3 * * *", name="nightly")
    @app.task(name="t")
    async def nightly() -> None: ...

    async with app.running():
        await raw.execute("""UPDATE cron SET changes = '{"cron": 5}' RETURNING 1""")
        (entry,) = await app.crons.list()
        assert entry.error
        assert entry.changed == ("cron",)
        entry = await app.crons.reset("nightly")
        assert (entry.error, entry.cron) == (None, "0 3 * * *")
