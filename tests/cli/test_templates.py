"""``elihu templates``, and templates in other commands, on both engines."""

import json

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first

SCHEMA = json.dumps({"properties": {"a": {"type": "integer"}}, "required": ["a"]})
MAKE = ("--name", "Add two numbers", "--task", "shop.add", "--json-schema")


def test_create_show_update_and_delete(shop: Shell) -> None:
    assert shop("templates", "create", "sum", *MAKE, SCHEMA) == "template sum created\n"
    shown = shop.json("templates", "show", "sum")
    assert (shown["code"], shown["task"], shown["queue"], shown["schema"]) == (
        "sum",
        "shop.add",
        "default",
        json.loads(SCHEMA),
    )
    assert (
        shown["default_timeout"],
        shown["default_max_attempts"],
        shown["active"],
        shown["display_order"],
    ) == (3600, 4, True, 0)
    assert not {"revision", "synced"} & set(shown)
    rows = dict(line.split(maxsplit=1) for line in shop("templates", "show", "sum").splitlines())
    assert (rows["name"], rows["active"]) == ("Add two numbers", "yes")
    changed = shop.json(
        "templates", "update", "sum", "--inactive", "--default-timeout", "none",
        "--default-max-attempts", "2", "--queue", "slow", "--display-order", "-5", "--name", "Sum",
    )  # fmt: skip
    assert (changed["active"], changed["default_timeout"], changed["default_max_attempts"]) == (
        False,
        None,
        2,
    )
    assert (changed["queue"], changed["display_order"], changed["name"]) == ("slow", -5, "Sum")
    assert (
        shop("templates", "update", "sum", "--json-schema", "-", text="{}")
        == "template sum updated\n"
    )
    assert shop.json("templates", "show", "sum")["schema"] == {}
    near = shop.refused("templates", "show", "sun", status=1)
    assert near == "elihu: template 'sun' not found; did you mean 'sum'?\n"
    assert shop("templates", "delete", "sum") == "template sum deleted\n"
    assert "template 'sum' not found" in shop.refused("templates", "show", "sum", status=1)


def test_ls_in_pages(shop: Shell) -> None:
    for number, code in enumerate("cab"):
        shop(
            "templates",
            "create",
            code,
            *MAKE,
            "{}",
            "--display-order",
            str(-number),
            *(("--inactive",) if code == "a" else ()),
        )
    lines = shop("templates", "ls").splitlines()
    assert lines[0].split() == [
        "code", "name", "task", "queue", "default_timeout", "default_max_attempts", "active",
        "display_order",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["b", "a", "c"]
    assert [each["code"] for each in shop.json("templates", "ls", "--active")["items"]] == [
        "b",
        "c",
    ]
    assert [each["code"] for each in shop.json("templates", "ls", "--inactive")["items"]] == ["a"]
    page = shop.run("templates", "ls", "--limit", "2")
    assert page.stderr == "elihu: more templates: add --after -1:a\n"
    assert [
        each["code"]
        for each in shop.json("templates", "ls", "--limit", "2", "--after", "-1:a")["items"]
    ] == ["c"]


def test_enqueue_and_find(shop: Shell) -> None:
    shop("templates", "create", "sum", *MAKE, SCHEMA)
    assert (
        shop("templates", "enqueue", "sum", "--context", '{"a": 1}', "--identifier", "one") == "1\n"
    )
    assert (
        shop(
            "templates",
            "enqueue",
            "sum",
            "--context",
            "-",
            "--identifier",
            "two",
            "--run",
            "now",
            text='{"a": 2}',
        )
        == "2\n"
    )
    third = (
        "--priority",
        "4",
        "--timeout",
        "90",
        "--max-attempts",
        "9",
        "--run",
        "wake",
        "--identifier",
        "three",
    )
    assert shop.json("templates", "enqueue", "sum", "--context", '{"a": 3}', *third) == {
        "id": 3, "state": "available", "queue": "default", "identifier": "three", "conflict": False,
    }  # fmt: skip
    assert [shop("jobs", "position", "--identifier", name) for name in ("two", "one", "three")] == [
        "1\n",
        "2\n",
        "3\n",
    ]
    shop("enqueue", "brief")
    assert [job["id"] for job in shop.json("jobs", "ls", "--template", "sum")["items"]] == [3, 2, 1]
    shown = shop.json("jobs", "show", "3")
    assert (shown["template"], shown["identifier"], shown["priority"], shown["max_attempts"]) == (
        "sum",
        "three",
        4,
        9,
    )
    assert "taken by job 1 (available)" in shop.refused(
        "templates", "enqueue", "sum", "--context", '{"a": 1}', "--identifier", "one", status=1
    )
    problem = shop.refused("templates", "enqueue", "sum", "--context", '{"a": "x"}', status=1)
    assert "/a: expected integer, got 'x'" in problem
    assert shop("jobs", "cancel", "--template", "sum") == "3 jobs cancelled\n"


def test_sync(shop: Shell) -> None:
    assert shop("templates", "sync") == "the app has no task with a template\n"
    with (shop.folder / "shop.py").open("a") as file:
        file.write(
            '\n\n@app.task(name="made", template="made")\n'
            'def made(a: int) -> None:\n    """Made."""\n'
        )
    assert shop("templates", "sync") == "made: created\n"
    shop("templates", "update", "made", "--name", "Mine")
    assert shop("templates", "sync") == "made: kept, it was changed by hand\n"
    assert shop.json("templates", "sync", "--force") == {
        "created": [],
        "updated": ["made"],
        "unchanged": [],
        "kept": [],
    }
    assert shop.json("templates", "show", "made")["name"] == "Made"


def test_wrong_use(shop: Shell) -> None:
    for arguments, words in (
        (
            ("create", "sum", "--name", "x", "--task", "shop.add"),
            "--json-schema: missing",
        ),
        (("create", "sum", *MAKE, "{"), "--json-schema: expected JSON"),
        (
            ("create", "sum", *MAKE, "{}", "--default-timeout", "soon"),
            "--default-timeout: expected",
        ),
        (("create", "", *MAKE, "{}"), "code: expected"),
        (("update", "sum"), "expected at least one option to change, got none"),
        (("enqueue", "sum", "--context", "{"), "--context: expected JSON"),
        (("enqueue", "sum", "--run", "soon"), "--run"),
        (("ls", "--after", "x"), "--after: expected the previous page's next"),
    ):
        assert words in shop.refused("templates", *arguments, status=2)
    for arguments, words in (
        (("create", "sum", *MAKE, '{"type": "strin"}'), "schema/type: expected"),
        (
            ("create", "sum", "--name", "x", "--task", "shop.ad", "--json-schema", "{}"),
            "did you mean",
        ),
        (("enqueue", "sum"), "template 'sum' not found"),
        (("delete", "sum"), "template 'sum' not found"),
    ):
        assert words in shop.refused("templates", *arguments, status=1)
    assert "expected an id or --identifier, got none" in shop.refused("jobs", "position", status=2)
    assert "expected an id or --identifier, got both" in shop.refused(
        "jobs", "position", "1", "--identifier", "a", status=2
    )
    assert "identifier 'a' not found" in shop.refused(
        "jobs", "position", "--identifier", "a", status=1
    )
