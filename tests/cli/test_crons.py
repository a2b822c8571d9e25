"""``elihu crons``."""

import json

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first

CRON_SHOP = """
from elihu import Elihu

app = Elihu()


@app.cron("0 3 * * *", tz="Europe/Oslo", name="nightly", args={"number": 1})
@app.task(name="add", queue="mail")
async def add(number: int) -> None: ...
"""


@pytest.fixture
def crons(shop: Shell) -> Shell:
    (shop.folder / "clock.py").write_text(CRON_SHOP)
    shop.environ["ELIHU_APP"] = "clock:app"
    return shop


def test_create_change_and_delete_an_entry(crons: Shell) -> None:
    made = crons(
        "crons",
        "create",
        "mine",
        "@daily",
        "add",
        "--args",
        '{"number": "2"}',
        "--tag",
        "x",
        "--priority",
        "3",
    )
    assert made.startswith("cron mine created, next 2")
    assert made.endswith("00:00:00Z\n")
    assert crons("crons", "pause", "mine") == "cron mine paused\n"
    (entry,) = crons.json("crons", "ls")
    assert (entry["args"], entry["tags"], entry["priority"], entry["queue"], entry["paused"]) == (
        {"number": 2},
        ["x"],
        3,
        "mail",
        True,
    )
    assert crons("crons", "ls").splitlines()[1].split()[:7] == [
        "mine",
        "@daily",
        "UTC",
        "add",
        "runtime",
        "paused",
        entry["next_at"][:10],
    ]
    assert (
        crons.json(
            "crons",
            "update",
            "mine",
            "--cron",
            "0 4 * * 1",
            "--tz",
            "Asia/Tokyo",
            "--catch-up",
            "all",
        )["cron"]
        == "0 4 * * 1"
    )
    assert crons("crons", "resume", "mine").startswith("cron mine resumed, next 2")
    shown = crons("crons", "show", "mine", "--next", "2")
    assert "At 04:00, only on Monday" in shown
    assert shown.count("04:00+09:00") == 2
    job = int(crons("crons", "run", "mine"))
    assert crons.json("jobs", "show", str(job))["args"] == {"number": 2}
    near = crons.refused("crons", "show", "mime", status=1)
    assert near == "elihu: cron 'mime' not found; did you mean 'mine'?\n"
    assert crons("crons", "delete", "mine") == "cron mine deleted\n"
    assert crons.json("crons", "ls") == []


def test_entry_declared_in_code(crons: Shell) -> None:
    crons.begin("start").wait_for("node  ")
    (entry,) = crons.json("crons", "ls")
    assert (entry["name"], entry["source"], entry["fires"], entry["changed"]) == (
        "nightly",
        "code",
        True,
        [],
    )
    assert crons("crons", "update", "nightly", "--queue", "other").startswith(
        "cron nightly updated"
    )
    assert crons.json("crons", "show", "nightly")["changed"] == ["queue"]
    assert crons.refused("crons", "delete", "nightly", status=1) == (
        "elihu: delete: cron 'nightly' is declared in code: pause it\n"
    )
    assert crons("crons", "reset", "nightly").startswith("cron nightly reset")
    assert crons.json("crons", "show", "nightly")["changed"] == []


def test_preview_needs_no_database(bare: Shell) -> None:
    lines = bare(
        "crons", "preview", "30 2 * * mon-fri", "--tz", "Europe/Oslo", "--next", "3"
    ).splitlines()
    assert lines[0] == "At 02:30, Monday through Friday"
    assert len(lines) == 4
    found = json.loads(bare("crons", "preview", "@reboot", "--json"))
    assert found == {
        "cron": "@reboot",
        "tz": "UTC",
        "words": "When a node starts while no other node is alive",
        "upcoming": [],
    }
    assert not list(bare.folder.glob("*.db"))


NUMBER = ("--args", '{"number": 1}')
REFUSED = [
    (["create", "x", "* * * * * *", "add", *NUMBER], 2, "cron '* * * * * *': expected five fields"),
    (
        ["create", "x", "@daily", "add", *NUMBER, "--tz", "Nowhere"],
        2,
        "tz: expected the name of a time zone such as Europe/Oslo",
    ),
    (["create", "x", "@daily", "ad", *NUMBER], 1, "got 'ad' (did you mean 'add'?)"),
    (["create", "x", "@daily", "add"], 1, "add: number: expected a value, got none"),
    (
        ["create", "x", "@daily", "add", "--args", "[1]"],
        2,
        "--args: expected a JSON object, got a list",
    ),
    (
        ["create", "x", "@daily", "add", *NUMBER, "--priority", "10"],
        2,
        "--priority: expected a whole number from 0 to 9",
    ),
    (
        ["create", "x", "@daily", "add", *NUMBER, "--catch-up", "some"],
        2,
        "--catch-up: expected one of none, last, all",
    ),
    (["update", "nobody", "--queue", "q"], 1, "cron 'nobody' not found"),
    (["update", "nobody"], 2, "expected at least one option to change, got none"),
    (["run", "nobody"], 1, "cron 'nobody' not found"),
    (
        ["preview", "5/15 * * * *"],
        2,
        "minute: expected * or a range before a step, such as 5-59/15, got '5/15'",
    ),
]


def test_refused(bare: Shell) -> None:
    (bare.folder / "clock.py").write_text(CRON_SHOP)
    bare.environ["ELIHU_APP"] = "clock:app"
    bare("migrate")
    for arguments, status, expected in REFUSED:
        assert expected in bare.refused("crons", *arguments, status=status)
    assert bare.json("crons", "ls") == []


def test_any_task_name_without_an_app(bare: Shell) -> None:
    bare("migrate")
    assert bare.json("crons", "create", "free", "@daily", "some.task", "--args", '{"a": 1}')[
        "args"
    ] == {"a": 1}
