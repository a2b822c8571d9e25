"""Calls that wait in one child for each other."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from elihu import ProcessDied
from elihu.errors import ProcessError
from elihu.outcome import Complete, Ending, Failed
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.attempts.processes import sharing
from tests.features import process_tasks as p
from tests.runtime.processes_support import Station, Stations, pids, until

NEVER = 3_600.0


@pytest.fixture(autouse=True)
def all_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SHORT", NEVER)
    monkeypatch.setattr(sharing, "PATIENCE", NEVER)
    monkeypatch.setattr(sharing, "_processors", lambda: 1)


def begin(station: Station, execution: Execution) -> "asyncio.Task[Ending]":
    async def ending() -> Ending:
        return (await station.children.run(execution, wanted=True)).ending

    return asyncio.create_task(ending())


async def waiting_behind(
    station: Station, first: Execution, number: int, began: Path
) -> tuple["asyncio.Task[Ending]", list["asyncio.Task[Any]"]]:
    """The first call runs in the only child, and so many calls of ``pid`` wait there."""
    running = begin(station, first)
    await until(lambda: any(" began" in path.name for path in began.iterdir()))
    waiting = [asyncio.create_task(station.value(p.pid)) for _ in range(number)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return running, waiting


async def test_short_jobs_share_a_child_up_to_its_last(stations: Stations):
    station = await stations(max_jobs_per_child=15)
    child = await station.value(p.pid)
    found = await asyncio.gather(*(station.value(p.pid) for _ in range(20)))
    assert found.count(child) == 14
    assert len(set(found)) == 7


async def test_a_task_shares_once_its_jobs_were_short(
    stations: Stations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sharing, "SHORT", 0.000_25)
    station = await stations()
    await asyncio.gather(*(station.value(p.pid) for _ in range(2)))
    for seconds, children in ((0.000_01, 1), (9.0, 2)):
        for _ in range(30):
            station.children._sharing.note(p.pid.name, seconds)
        found = await asyncio.gather(*(station.value(p.pid) for _ in range(2)))
        assert len(set(found)) == children


async def test_a_call_behind_one_that_takes_long_gets_another_child(
    stations: Stations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    station = await stations()
    child = await station.value(p.pid)
    monkeypatch.setattr(sharing, "PATIENCE", 0.01)
    first = station.execution(p.waits_to_be_told, folder=str(tmp_path), how="look")
    running, waiting = await waiting_behind(station, first, 2, tmp_path)
    async with asyncio.timeout(30):
        assert child not in await asyncio.gather(*waiting)
    assert not running.done()
    first.context.cancel()
    assert await running == Complete('"told"')
    assert await station.value(p.pid) in pids()


async def test_a_cancelled_call_that_waits_leaves_the_child_to_the_others(
    stations: Stations, tmp_path: Path
):
    station = await stations()
    child = await station.value(p.pid)
    first = station.execution(p.waits_to_be_told, folder=str(tmp_path), how="look")
    running, (waiting,) = await waiting_behind(station, first, 1, tmp_path)
    waiting.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not running.done()
    first.context.cancel()
    assert await running == Complete('"told"')
    assert pids() == [child]
    assert await station.value(p.pid) == child


async def test_the_end_of_a_running_job_by_force_moves_those_behind_it(
    stations: Stations, tmp_path: Path
):
    station = await stations(kill_grace=0.2)
    child = await station.value(p.pid)
    first = station.execution(p.deaf, folder=str(tmp_path))
    running, waiting = await waiting_behind(station, first, 2, tmp_path)
    running.cancel()
    async with asyncio.timeout(30):
        assert child not in await asyncio.gather(*waiting)
        with pytest.raises(asyncio.CancelledError):
            await running
    assert child not in pids()


async def test_a_dead_child_fails_the_job_that_ran_and_no_other(stations: Stations):
    station = await stations()
    child = await station.value(p.pid)
    before, dying, *after = await asyncio.gather(
        station.run(p.pid), station.run(p.dies, how="kill"), *(station.run(p.pid) for _ in range(3))
    )
    assert before == Complete(str(child))
    assert isinstance(dying, Failed)
    assert isinstance(dying.error, ProcessDied)
    assert all(isinstance(each, Complete) for each in after)


async def test_a_cancellation_is_seen_by_its_own_job_alone(stations: Stations, tmp_path: Path):
    station = await stations()
    child = await station.value(p.pid)
    first, second = (
        station.execution(p.waits_to_be_told, folder=str(tmp_path), how=how)
        for how in ("look", "wait")
    )
    running = begin(station, first)
    await until((tmp_path / "look began").exists)
    waiting = begin(station, second)
    await until(lambda: second.context.on_cancel is not None)
    second.context.cancel()
    assert not (tmp_path / "wait began").exists()
    assert not running.done()
    first.context.cancel()
    async with asyncio.timeout(30):
        for each in await asyncio.gather(running, waiting):
            assert each == Complete('"told"')
    assert pids() == [child]


async def test_closing_ends_those_that_wait_in_a_child(stations: Stations, tmp_path: Path):
    station = await stations()
    await station.value(p.pid)
    first = station.execution(p.deaf, folder=str(tmp_path))
    running, waiting = await waiting_behind(station, first, 2, tmp_path)
    async with asyncio.timeout(30):
        await station.children.close()
        ends = await asyncio.gather(running, *waiting, return_exceptions=True)
    assert isinstance(ends[0], Failed)
    assert [type(each) for each in ends[1:]] == [ProcessError] * 2
