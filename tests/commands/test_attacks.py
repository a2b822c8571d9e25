"""Values and environments that try to become commands, and secrets that try to be seen. Each
attack fails, and succeeds on a build from which the defence was taken.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from elihu import InvalidFields
from elihu.commands.host import Host
from elihu.commands.rules import commands, variables
from elihu.commands.runner import CommandRun, environment
from tests.commands.runner.support import Run

pytestmark = pytest.mark.sqlite_first

HOSTILE = {
    "double quote": '"; touch MARK; "',
    "single quote": "'; touch MARK; '",
    "backtick": "`touch MARK`",
    "substitution": "$(touch MARK)",
    "newline": "\ntouch MARK\n",
    "comment": "x # \n touch MARK",
    "operator": "; touch MARK & touch MARK | touch MARK",
    "redirection": "> MARK",
}
POSITIONS = {
    "bare": "printf %s $VALUE",
    "double": 'printf %s "$VALUE"',
    "single": "printf %s '$VALUE'",
    "braces": 'printf %s "${VALUE}"',
    "substitution": 'printf %s "$(printf %s "$VALUE")"',
    "backtick": 'printf %s `printf %s "$VALUE"`',
    "assignment": 'other=$VALUE; printf %s "$other"',
    "here": "cat <<END\n$VALUE\nEND",
}
SECRET = "hunter2-is-no-password"


def text_with_values(self: CommandRun, before: Callable[[CommandRun], object]) -> object:
    """A build that writes values into the text."""
    spec = self._spec
    value = spec.variables["VALUE"]
    text = spec.text.replace("${VALUE}", value).replace("$VALUE", value)
    object.__setattr__(spec, "text", text)
    return before(self)


async def made_by_a_value(folder: Path) -> set[tuple[str, str]]:
    """The positions and values that became a command: all positions run in one shell each."""
    found = set()
    for position, text in POSITIONS.items():
        for kind, value in HOSTILE.items():
            mark = folder / "mark"
            run = Run(text, variables={"VALUE": value.replace("MARK", str(mark))})
            await run.end()
            if mark.exists():
                found.add((position, kind))
                mark.unlink()
    return found


@pytest.mark.more
async def test_no_value_becomes_a_command_in_any_position(tmp_path: Path) -> None:
    assert await made_by_a_value(tmp_path) == set()


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_value_becomes_a_command(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All positions in one command; the weak build writes values into the text."""
    mark = tmp_path / "mark"
    value = HOSTILE[kind].replace("MARK", str(mark))
    text = "\n".join(POSITIONS.values())
    assert (await Run(text, variables={"VALUE": value}).end()).status == "succeeded"
    assert not mark.exists()
    before = CommandRun._order
    monkeypatch.setattr(CommandRun, "_order", lambda self: text_with_values(self, before))
    for position in POSITIONS.values():
        await Run(position, variables={"VALUE": value}).end()
    assert mark.exists()


async def test_the_loader_of_the_node_is_not_that_of_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = 'printf "%s" "$LD_PRELOAD$BASH_ENV$PYTHONPATH"'
    for name in ("LD_PRELOAD", "BASH_ENV", "PYTHONPATH"):
        monkeypatch.setenv(name, "/tmp/elihu-none.so")
    order = Run(text).command._order()
    assert not {"LD_PRELOAD", "BASH_ENV", "PYTHONPATH"} & order.environment.keys()
    monkeypatch.setattr(environment, "ALLOWED", frozenset(os.environ))
    order = Run(text).command._order()
    assert order.environment["LD_PRELOAD"] == "/tmp/elihu-none.so"


async def test_no_variable_loads_code_into_a_command(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stored(name: str) -> bool:
        try:
            async with host.sessions.begin() as session:
                await variables.create(session, host, name=name, value="/tmp/evil.so")
        except InvalidFields:
            return False
        return True

    names = ["LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "PATH", "IFS",
             "PYTHONPATH", "PYTHONSTARTUP"]  # fmt: skip
    assert not [name for name in names if await stored(name)]
    monkeypatch.setattr(variables, "loads_code", lambda _name: False)
    assert all([await stored(name) for name in names])


def process_list() -> str:
    """The arguments of all processes."""
    found = ""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += path.read_bytes().decode("utf-8", "replace")
    return found


async def shown_by(run: Run) -> tuple[bytes, str]:
    """The output, and the process list while it runs."""
    ending = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    listed = process_list()
    await ending
    return run.sink.out, listed


async def test_a_secret_is_in_no_output_and_no_process_list(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    text = 'printf "ready %s" "$VALUE"; sleep 1; false'
    spec = {"variables": {"VALUE": SECRET}, "secret_values": [SECRET]}
    shown, listed = await shown_by(Run(text, **spec))
    assert b"ready" in shown
    assert SECRET.encode() not in shown
    assert SECRET not in listed
    assert SECRET not in caplog.text
    before = CommandRun._order
    monkeypatch.setattr(import_module("elihu.commands.runner.run"), "maskable", lambda _secrets: [])
    shown, _ = await shown_by(Run(text, **spec))
    assert SECRET.encode() in shown
    monkeypatch.setattr(CommandRun, "_order", lambda self: text_with_values(self, before))
    _, listed = await shown_by(Run(text, **spec))
    assert SECRET in listed


async def test_no_secret_is_an_argument(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async with host.sessions.begin() as session:
        await variables.create(session, host, name="TOKEN", secret=SECRET)

    async def stored(name: str) -> bool:
        try:
            async with host.sessions.begin() as session:
                await commands.create(
                    session, name=name, shell_command="curl -H $TOKEN", mode="argv"
                )
        except InvalidFields:
            return False
        return True

    assert not await stored("one")
    monkeypatch.setattr(commands, "names_in", lambda _text: set())
    assert await stored("two")
