"""What the command line changes leaves audit rows, as the page and the API do."""

import json
import os
import pwd
import socket
from typing import Any

import pytest

from tests.cli.shell import Shell

SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
CHANGES: list[tuple[str, str, str | None, dict[str, Any] | None]] = [
    ("queues pause mail", "queue.pause", "mail", {"node": None}),
    ("queues scale mail 3", "queue.scale", "mail", {"node": None, "limit": 3}),
    ("enqueue shop.add --args [1]", "job.enqueue", "1", None),
    ("jobs update 1 --priority 3", "job.change", "1", {"priority": 3}),
    ("jobs hold 1", "job.hold", "1", {"ids": [1], "changed": 1}),
    ("jobs cancel --task shop.add --yes", "job.cancel", None, {"task": ["shop.add"], "changed": 1}),
    ("crons create c @daily brief", "cron_entry.add", "c", {"cron": "@daily", "task": "brief"}),
    ("crons update c --tz Europe/Oslo", "cron_entry.change", "c", {"tz": "Europe/Oslo"}),
    ("crons pause c", "cron_entry.pause", "c", None),
    ("crons run c", "cron_entry.run", "c", None),
    ("crons delete c", "cron_entry.delete", "c", None),
    ("templates update t --name U", "template.change", "t", {"name": "U"}),
    ("templates enqueue t", "template.enqueue", "t", {"job": 3}),
    ("templates delete t", "template.delete", "t", None),
]


def test_changes_leave_audit_rows(shop: Shell) -> None:
    shop("templates", "create", "t", "--name", "T", "--task", "brief", "--json-schema", SCHEMA)
    shop("users", "add", "ann", "--role", "admin", "--no-password")
    for command, *_ in CHANGES:
        shop(*command.split(" "))
    assert shop.run("jobs", "hold", "1").returncode == 1, "it changes nothing"
    rows = [row for row in shop.json("audit", "ls") if row["kind"] != "user"]
    found = [
        (row["action"], row["object_id"], json.loads(row["after"] or "null"))
        for row in reversed(rows)
    ]
    assert found == [tuple(expected) for _, *expected in CHANGES]
    assert {(row["user_name"], row["via"]) for row in rows} == {("command line", "cli")}
    here = f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"
    assert {row["address"] for row in rows} == {here}
    (change,) = (row for row in rows if row["action"] == "job.change")
    assert (json.loads(change["before"]), change["object_name"]) == ({"priority": 0}, "shop.add")


@pytest.mark.parametrize("command", ["queues pause mail", "crons create c @daily brief"])
def test_without_the_tables_of_accounts_there_is_no_row(shop: Shell, command: str) -> None:
    done = shop.run(*command.split(" "))
    assert (done.returncode, done.stderr) == (0, "")
