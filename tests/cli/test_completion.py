"""Completion of commands, options and names in a shell."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from elihu.cli import complete
from elihu.cli.complete import NamesOf
from elihu.cli.known_names import KNOWN
from elihu.cli.main import COMMANDS, cli
from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first

TRIGGERS = """
from elihu import Elihu
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

app = Elihu(sessions=sessionmaker(create_engine("sqlite://")), queues={"default": 2})
print("printed while it is imported")


class Base(DeclarativeBase): ...


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)


@app.trigger(Invoice, cron=None, queue="default", name="dun")
def dun(invoice: Invoice) -> None: ...
"""
SOURCES = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


def completed(shell: Shell, *words: str) -> list[str]:
    """What bash is offered for the last word."""
    shell.environ |= {
        "_ELIHU_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("elihu", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = shell.run()
    for name in ("_ELIHU_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
        del shell.environ[name]
    assert (done.returncode, done.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]


def test_commands_and_options(bare: Shell) -> None:
    assert completed(bare, "") == list(COMMANDS)
    assert completed(bare, "que") == ["queues"]
    assert completed(bare, "queues", "pa") == ["pause"]
    assert completed(bare, "--data") == ["--database"]
    assert completed(bare, "jobs", "ls", "--state", "av") == ["available"]


def test_names_of_the_database(shop: Shell) -> None:
    shop("enqueue", "shop.add", "--args", '{"a": 1}', "--queue", "slow", "--tag", "red")
    shop("crons", "create", "nightly", "0 3 * * *", "shop.add", "--args", '{"a": 1}')
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
    shop(
        "templates", "create", "sum", "--name", "Sum", "--task", "shop.add", "--json-schema", schema
    )
    assert completed(shop, "queues", "pause", "") == ["default", "mail", "slow"]
    assert completed(shop, "jobs", "ls", "--queue", "s") == ["slow"]
    assert completed(shop, "jobs", "cancel", "--tag", "") == ["red"]
    assert completed(shop, "enqueue", "b") == ["brief"]
    assert completed(shop, "crons", "pause", "n") == ["nightly"]
    assert completed(shop, "templates", "show", "") == ["sum"]
    assert completed(shop, "crons", "create", "") == []
    shop.environ.pop("ELIHU_APP")
    assert completed(shop, "jobs", "ls", "--task", "") == ["shop.add"]


def test_names_of_commands_are_quoted_for_bash(shell: Shell) -> None:
    shell("migrate", "--commands")
    shell("commands", "add", "night backup", "true", "--cron", "@daily")
    assert completed(shell, "commands", "run", "") == ["'night backup'"]
    assert completed(shell, "commands", "run", "x", "--environment", "") == ["default"]


def test_names_of_triggers(bare: Shell) -> None:
    (bare.folder / "bills.py").write_text(TRIGGERS)
    assert completed(bare, "--app", "bills:app", "triggers", "scan", "") == ["dun"]


def test_failures_are_silent(bare: Shell) -> None:
    missing = f"sqlite:///{bare.folder}/none/elihu.db"
    assert completed(bare, "--database", missing, "queues", "pause", "") == []
    assert completed(bare, "--database", "nonsense", "queues", "pause", "") == []
    assert completed(bare, "--app", "none:app", "triggers", "scan", "") == []


def test_a_silent_database_takes_no_longer_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(complete, "DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none"
        asked = BashComplete(cli, {}, "elihu", "_ELIHU_COMPLETE")
        began = time.monotonic()
        assert asked.get_completions(["--database", url, "queues", "pause"], "") == []
    assert time.monotonic() - began < 5


def test_every_kind_is_of_some_parameter() -> None:
    used = set()

    def look(command: click.Command) -> None:
        for parameter in command.params:
            if isinstance(parameter._custom_shell_complete, NamesOf):
                used.add(parameter._custom_shell_complete.kind)
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                child = command.get_command(click.Context(command), name)
                assert child is not None
                look(child)

    look(cli)
    assert used == set(KNOWN)


@pytest.mark.parametrize("name", SOURCES)
def test_a_real_shell(name: str, bare: Shell) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    bare.environ["ELIHU_DATABASE_URL"] = f"sqlite:///{bare.folder}/elihu.db"
    bare("migrate")
    command = bare.folder / "elihu"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m elihu "$@"\n')
    command.chmod(0o755)
    source = SOURCES[name](cli, {}, "elihu", "_ELIHU_COMPLETE").source()
    script = {
        "bash": f"{source}\nCOMP_WORDS=(elihu queues pause de); COMP_CWORD=3\n"
        '_elihu_completion elihu; printf "%s\\n" "${COMPREPLY[@]}"',
        "zsh": "compdef() {}; compadd() { print -l -- ${(P)argv[-1]} }\n"
        f"{source}\nwords=(elihu queues pause de); CURRENT=4; _elihu_completion",
        "fish": f"{source}\ncomplete -C 'elihu queues pause de'",
    }[name]
    done = subprocess.run(
        [program, "-c", script],
        cwd=bare.folder,
        env={**bare.environ, "PATH": f"{bare.folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == ["default"]
