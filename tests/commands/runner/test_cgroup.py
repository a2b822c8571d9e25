"""Cgroups of commands are removed, those of killed supervisors too."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from elihu.commands.runner import cgroup
from elihu.commands.runner.cgroup import Cgroup
from tests.commands.runner.support import Run, ended, until


@pytest.fixture
def parent() -> Iterator[Path]:
    probe = Cgroup(uuid.uuid4().hex)
    if probe.path is None:
        pytest.skip("no cgroup of version 2 can be made here")
    yield Path(probe.path).parent
    probe.remove()


def made(parent: Path, run: Run) -> Path:
    return parent / f"{cgroup.PREFIX}{run.command._mark}"


async def test_a_command_has_one_of_its_own(parent: Path) -> None:
    _, sink = await ended("cat /proc/self/cgroup")
    assert f"/{cgroup.PREFIX}" in sink.out.decode()
    _, sink = await ended("cat /proc/self/cgroup", cgroup=False)
    assert f"/{cgroup.PREFIX}" not in sink.out.decode()


@pytest.mark.parametrize(
    "text", ["true", "sleep 60 & sleep 60 &", "setsid sleep 60 & kill -KILL $PPID; sleep 60"]
)
async def test_it_is_removed(parent: Path, text: str) -> None:
    run = Run(text)
    await run.end()
    assert not made(parent, run).exists()


async def test_it_is_removed_when_a_process_is_kept(parent: Path) -> None:
    run = Run("sleep 60 > /dev/null 2>&1 &", keep_background=True)
    await run.end()
    (left,) = run.left
    os.kill(left, 9)
    assert not made(parent, run).exists()
    await until(lambda: run.left == [])


def test_stale_ones_are_removed(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale, other = Cgroup(uuid.uuid4().hex), Cgroup(uuid.uuid4().hex)
    assert stale.path
    assert other.path
    other.remove()
    assert Path(stale.path).exists()
    monkeypatch.setattr(cgroup, "STALE", -1.0)
    monkeypatch.setattr(cgroup, "PREFIX", Path(stale.path).name)
    cgroup.remove(other.path)
    assert not Path(stale.path).exists()
