"""``elihu users``, ``elihu keys`` and ``elihu audit``."""

import json

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first


def test_a_user_is_added_changed_and_deleted(shell: Shell) -> None:
    add = ("users", "add", "Ann", "--role", "admin", "--password-stdin")
    assert shell(*add, text="long enough\n") == "user Ann added (admin)\n"
    shell("users", "add", "bob", "--role", "view", "--no-password")
    assert "bob is edit" in shell("users", "role", "bob", "edit")
    shell("users", "disable", "bob")
    found = {user["name"]: user for user in shell.json("users", "ls")}
    assert (found["bob"]["role"], found["bob"]["enabled"]) == ("edit", False)
    assert "password" not in found["Ann"]
    shell("users", "enable", "bob")
    shell("users", "passwd", "bob", "--password-stdin", text="even longer\n")
    assert "0 sessions ended" in shell("users", "sign-out", "bob")
    shell("users", "rm", "bob")
    assert "is the last user" in shell.refused("users", "rm", "ann", status=1)
    rows = shell.json("audit", "ls")
    assert [row["action"] for row in rows][:2] == ["user.delete", "user.sign_out"]
    assert "long enough" not in json.dumps(rows)
    assert shell("audit", "ls", "--kind", "user", "--limit", "1").count("user.") == 1


def test_bad_input_is_refused(shell: Shell) -> None:
    assert "tables of accounts" in shell.refused("users", "ls", status=1)
    add = ("users", "add", "ann", "--role", "admin", "--password-stdin")
    short = shell.run(*add, text="x\n")
    assert short.returncode == 2
    assert "password: expected 10 to 1,000" in short.stderr
    assert "expected a line on standard input" in shell.refused(*add, status=2)
    assert "user 'bob' not found" in shell.refused("users", "rm", "bob", status=1)


def test_a_key_is_shown_once_and_revoked(shell: Shell) -> None:
    shell("users", "add", "ann", "--role", "edit", "--no-password")
    text = shell(
        "keys", "add", "ci", "--user", "ann", "--role", "run", "--areas", "runs, commands"
    ).strip()
    assert text.startswith("elihu_")
    (key,) = shell.json("keys", "ls")
    assert (key["name"], key["user"], key["areas"]) == ("ci", "ann", "runs,commands")
    assert text not in shell("keys", "ls")
    assert "revoked" in shell("keys", "revoke", key["id"])
    assert shell.json("keys", "ls") == []
    above = ("keys", "add", "x", "--user", "ann", "--role", "admin")
    assert "expected at most edit" in shell.refused(*above, status=2)


def test_the_tables_are_made_by_migrate(shell: Shell) -> None:
    shell("migrate", "--accounts")
    assert shell("users", "ls").startswith("name")
