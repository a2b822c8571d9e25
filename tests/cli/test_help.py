"""Help is complete, and fast because it imports no heavy modules."""

import os
import platform
import sqlite3
import subprocess
import sys
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

import elihu
from elihu.cli.main import COMMANDS, cli

HEAVY = {
    "pydantic",
    "pydantic_core",
    "rich",
    "asyncpg",
    "sqlite3",
    "uvloop",
    "asyncio",
    "tomllib",
    "ssl",
}


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        "from elihu.cli.main import cli\n"
        f"cli({list(arguments)!r}, prog_name='elihu', standalone_mode=False)\n"
        "print('MODULES', *sys.modules)"
    )
    command = [sys.executable, "-c", code]
    # Coverage imports modules of its own into a measured child.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=30, env=environ
    )
    return {name.partition(".")[0] for name in done.stdout.rpartition("MODULES")[2].split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("jobs", "--help"),
        ("jobs", "ls", "--help"),
        ("up", "--help"),
        ("enqueue", "--help"),
    ],
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not modules_after(*arguments) & (
        HEAVY - ({"asyncio", "ssl"} if arguments[0] == "up" else set())
    )


def test_help_lists_every_command() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in text
        assert line in text


@pytest.mark.parametrize("name", COMMANDS)
def test_listed_help_line_matches_the_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command
    assert command.name == name
    assert (command.help or "").partition("\n\n")[0] == COMMANDS[name][1]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_help_of_every_command(path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(cli, [*path, flag])
        assert result.exit_code == 0
        assert f"Usage: cli {' '.join(path)}" in result.output
        assert "--database URL" in result.output
        assert ("--json" in result.output) == (path[0] not in {"up", "start", "web"})


def test_commands_of_the_contract() -> None:
    names = {" ".join(path) for path in commands(cli)}
    verbs = ["ls", "show", "runs", "cancel", "retry", "delete", "hold", "release", "position"]
    assert names >= {
        "up",
        "start",
        "migrate",
        "enqueue",
        "nodes ls",
        *(f"jobs {verb}" for verb in verbs),
    }


def test_the_version_has_those_of_the_engines() -> None:
    lines = CliRunner().invoke(cli, ["--version"]).stdout.splitlines()
    assert lines == [
        f"elihu {elihu.__version__}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        f"asyncpg {metadata.version('asyncpg')}",
    ]


def test_the_version_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_driver(name: str) -> str:
        if name == "asyncpg":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_driver)
    assert CliRunner().invoke(cli, ["--version"]).stdout.splitlines()[-1] == "asyncpg not installed"


def test_version_and_help_in_a_process() -> None:
    for option, beginning in (("--version", "elihu "), ("--help", "Usage: elihu ")):
        command = [sys.executable, "-m", "elihu", option]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        assert done.stdout.startswith(beginning)


@pytest.mark.parametrize("name", COMMANDS)
def test_lists_of_commands_are_not_cut_off(name: str) -> None:
    text = CliRunner().invoke(cli, [name, "--help"], terminal_width=80).output
    assert "..." not in text.partition("Commands:")[2]
