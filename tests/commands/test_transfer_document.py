"""The file: what it may hold, and what is said of what it may not."""

import inspect
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elihu import InvalidFields
from elihu.commands.crontab import read_crontab
from elihu.commands.rules import alerts, commands, crons, environments, schedules, variables
from elihu.commands.transfer.document import KINDS, REQUIRED, complete, parse, render
from elihu.commands.transfer.from_crontab import document_of

RULES: dict[str, Callable[..., Any]] = {
    "environment": environments.create,
    "cron": crons.create,
    "command": commands.create,
    "schedule": schedules.create,
    "variable": variables.create,
    "alert": alerts.create,
}
OTHERWISE = {
    "command_id": "command",
    "command_ids": "commands",
    "environment_ids": "environments",
    "cron_ids": "crons",
}


@pytest.mark.parametrize("kind", KINDS)
def test_fields_and_defaults_are_those_of_the_rules(kind: str) -> None:
    parameters = {
        OTHERWISE.get(name, name): REQUIRED
        if each.default is inspect.Parameter.empty
        else each.default
        for name, each in inspect.signature(RULES[kind]).parameters.items()
        if name not in {"session", "host"}
    }
    if "secret" in parameters:
        parameters["secret"] = False
    assert parameters == KINDS[kind]


def test_what_is_written_is_read() -> None:
    text = """version = 1

[[environment]]
name = "Prod"

[[command]]
name = "Backup \\"all\\""
shell_command = '''
set -e
pg_dump "$DB" | gzip > 'x'
'''
enabled = false
timeout = 0.5
max_attempts = 3
working_directory = "/srv"

[[schedule]]
command = "Backup \\"all\\""
environments = ["Prod"]
catch_up = "all"

[[variable]]
name = "KEY"
secret = true
environments = ["Prod"]
"""
    document = parse(text)
    assert render(document) == text
    assert document.of("command")[0]["shell_command"].startswith("set -e\n")
    assert document.of("environment")[0] == {"name": "Prod", "enabled": True}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    values = complete("command", {"name": "a", "shell_command": text})
    (read,) = tomllib.loads(render(parse(render_of(values))))["command"]
    assert read["shell_command"] == text


def render_of(values: dict[str, Any]) -> str:
    from elihu.commands.transfer.document import Document

    return render(Document({"command": [values]}))


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("version = 1\n[[command", {"file": "expected TOML"}),
        ("", {"version": "expected 1, got None"}),
        ("version = 2", {"version": "expected 1, got 2"}),
        ("version = 1\n[[comand]]", {"comand": "did you mean 'command'?"}),
        ("version = 1\ncommand = 3", {"command": "expected tables [[command]]"}),
        (
            "version = 1\n[[cron]]\nname = 'a'\nexpresion = '@daily'",
            {
                "cron[1].expresion": "no such field; did you mean 'expression'?",
                "cron[1].expression": "expected a value, got none",
            },
        ),
        (
            "version = 1\n[[environment]]\nname = 'A'\n[[environment]]\nname = 'a'",
            {"environment[2].name": "'a' is there twice"},
        ),
        ("version = 1\n[[environment]]\nname = 1", {"environment[1].name": "expected a text"}),
        (
            "version = 1\n[[schedule]]\ncommand = 'a'\ncrons = 'b'",
            {"schedule[1].crons": "expected a list of names, got 'b'"},
        ),
        (
            "version = 1\n[[variable]]\nname = 'A'",
            {"variable[1].value": "expected a value or secret = true, got neither"},
        ),
        (
            "version = 1\n[[variable]]\nname = 'A'\nsecret = true\nvalue = 'x'",
            {"variable[1].value": "expected no value beside secret = true"},
        ),
        (
            "version = 1\n[[variable]]\nname = 'A'\nvalue = 'x'\nsecret = 'hunter22'",
            {"variable[1].secret": "a file holds no secrets"},
        ),
    ],
)
def test_a_refusal_names_the_field(text: str, errors: dict[str, str]) -> None:
    with pytest.raises(InvalidFields) as caught:
        parse(text)
    found = dict(caught.value.errors)
    assert set(found) == set(errors)
    for field, detail in errors.items():
        assert detail in found[field]
    assert "hunter22" not in str(caught.value)


CRONTAB = """A=1
LD_LIBRARY_PATH=/x
0 3 * * * backup --all
@daily    backup --all
0 3 * * * backup --all
B=2
HOME=/srv
*/5 * * * * backup --all
"""


def test_a_crontab_as_a_file() -> None:
    document = document_of(read_crontab(CRONTAB), environment="crontab", timezone="Europe/Oslo")
    assert [each["name"] for each in document.of("cron")] == [
        "0 3 * * * Europe/Oslo",
        "@daily Europe/Oslo",
        "*/5 * * * * Europe/Oslo",
    ]
    assert [
        (each["name"], each["shell_command"], each["working_directory"])
        for each in document.of("command")
    ] == [
        ("backup --all", "export LD_LIBRARY_PATH=/x\nbackup --all", None),
        ("backup --all (2)", "export LD_LIBRARY_PATH=/x\nexport B=2\nbackup --all", "/srv"),
    ]
    assert [(each["command"], each["crons"]) for each in document.of("schedule")] == [
        ("backup --all", ("0 3 * * * Europe/Oslo", "@daily Europe/Oslo")),
        ("backup --all (2)", ("*/5 * * * * Europe/Oslo",)),
    ]
    assert [(each["name"], each["value"]) for each in document.of("variable")] == [("A", "1")]
    assert {each["timeout"] for each in document.of("command")} == {86_400.0}
    assert parse(render(document)).items == document.items


def test_a_command_is_named_after_its_line() -> None:
    crontab = read_crontab(f"SHELL=/bin/bash\n@daily cat  -n%input\n@daily {'x' * 90}\n")
    document = document_of(crontab, environment="a")
    assert [each["name"] for each in document.of("command")] == ["cat -n", "x" * 79 + "…"]


def test_an_empty_crontab_makes_nothing() -> None:
    assert render(document_of(read_crontab(""), environment="a")) == "version = 1\n"
