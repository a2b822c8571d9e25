"""The line of those who would write to one SQLite file."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elihu import write_turns
from elihu.write_turns import Line, line_at, turn_at

FILE = Path("/nowhere/jobs.db")


@pytest.fixture
def line() -> Iterator[Line]:
    yield line_at(FILE)
    write_turns._lines.clear()


def test_who_comes_first_has_the_turn_first(line: Line) -> None:
    first, *others = [line.enter() for _ in range(4)]
    assert [each.done() for each in (first, *others)] == [True, False, False, False]
    line.leave(first)
    assert [each.done() for each in others] == [True, False, False]
    line.leave(others[1])  # gives up the wait
    line.leave(others[0])
    assert others[2].done()
    line.leave(others[2])
    assert line.enter().done()


def test_the_turn_comes_to_a_waiting_thread(line: Line) -> None:
    first = line.enter()
    own = line.enter()
    waiting = threading.Thread(target=own.result, args=(10,))
    waiting.start()
    line.leave(first)
    waiting.join(10)
    assert not waiting.is_alive()


async def test_code_of_a_loop_waits_for_the_turn_of_a_thread(line: Line) -> None:
    first, entered = line.enter(), asyncio.Event()

    async def write() -> None:
        async with turn_at(FILE):
            entered.set()

    writing = asyncio.create_task(write())
    async with asyncio.timeout(10):
        await _somebody_waits(line)
        assert not entered.is_set()
        await asyncio.to_thread(line.leave, first)
        await writing
    assert line.enter().done()


async def test_a_wait_that_is_cancelled_leaves_the_line(line: Line) -> None:
    first = line.enter()
    writing = asyncio.create_task(_enter())
    async with asyncio.timeout(10):
        await _somebody_waits(line)
    writing.cancel()
    await asyncio.wait([writing])
    line.leave(first)
    assert line.enter().done()


async def test_a_wait_that_takes_too_long_goes_on_without_the_turn(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_turns, "PATIENCE", 0.01)
    first = line.enter()
    async with asyncio.timeout(10):
        await _enter()
    line.leave(first)
    assert line.enter().done()


async def test_nobody_waits_at_a_file_without_actions() -> None:
    async with turn_at(FILE):
        assert FILE not in write_turns._lines


async def _somebody_waits(line: Line) -> None:
    while not line._waiting:  # noqa: ASYNC110 (the line tells nobody)
        await asyncio.sleep(0)


async def _enter() -> None:
    async with turn_at(FILE):
        pass
