"""Announcements between processes that share a SQLite file."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.sqlite import datagrams
from elihu.engines.sqlite import notifier as notifiers
from elihu.engines.sqlite.datagrams import Datagrams
from elihu.engines.sqlite.engine import SqliteEngine
from elihu.job import NewJob
from elihu.telemetry.bus import Bus
from tests.engines.builders import put
from tests.engines.sqlite_support import outcome
from tests.engines.test_notifier import SignalRecorder

JOBS = Signal(SignalKind.JOBS, "default")
CHANGED = Signal(SignalKind.CHANGED)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notifiers do not look for commits."""
    monkeypatch.setattr(notifiers, "WATCH_INTERVAL", 3_600.0)


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(Config(database_url=f"sqlite:///{path}"), Bus())
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def sockets(path: Path) -> list[str]:
    return [each.name for each in path.with_name(f"{path.name}-wake").iterdir()]


@pytest.mark.usefixtures("never_looks")
async def test_another_process_is_announced_to_without_a_look(engine: Engine, path: Path):
    notifier, recorder = engine.notifier(), SignalRecorder()
    await notifier.start(recorder)
    script = """
        from elihu.engines.protocol.signals import Signal, SignalKind
        await engine.notify([Signal(SignalKind.JOBS, "default"), Signal(SignalKind.LEADER)])
    """
    process = outcome(script, path)
    await recorder.until(lambda: recorder.signals == [JOBS, Signal(SignalKind.LEADER)])
    await asyncio.to_thread(process.communicate)
    await notifier.stop()


@pytest.mark.usefixtures("never_looks")
async def test_every_engine_but_its_own_is_announced_to(engine: Engine, other: Engine):
    recorders = [SignalRecorder() for _ in range(3)]
    mine, *others = [engine.notifier(), other.notifier(), other.notifier()]
    for each, recorder in zip([mine, *others], recorders, strict=True):
        await each.start(recorder)
    await engine.notify([JOBS])
    await recorders[1].until(lambda: recorders[1].signals == [JOBS])
    await recorders[2].until(lambda: recorders[2].signals == [JOBS])
    assert recorders[0].signals == []
    for each in (mine, *others):
        await each.stop()


@pytest.mark.usefixtures("never_looks")
async def test_a_job_is_announced_by_the_thread_that_committed_it(
    engine: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(datagrams, "BETWEEN", 3_600.0)
    notifier, recorder = other.notifier(), SignalRecorder()
    await notifier.start(recorder)
    silent = [
        NewJob(task="t", hold=True),
        NewJob(task="t", delay=60.0),
        NewJob(task="t", notify=False),
    ]
    assert not any(row.announced for row in await engine.insert(silent))
    assert all(row.announced for row in await engine.insert([NewJob(task="t"), *silent]))
    await recorder.until(lambda: recorder.signals == [JOBS])
    (later,) = await engine.insert([NewJob(task="t")])
    assert not later.announced, "the announcer joins what follows within a moment"
    await engine.notify([Signal(SignalKind.LEADER)])
    await recorder.until(lambda: recorder.signals == [JOBS, Signal(SignalKind.LEADER)])
    await notifier.stop()


@pytest.mark.usefixtures("never_looks")
async def test_engines_of_one_app_send_nothing_to_each_other(path: Path):
    config, bus = Config(database_url=f"sqlite:///{path}"), Bus()
    engines = [SqliteEngine(config, each) for each in (bus, bus, Bus())]
    recorders = [SignalRecorder() for _ in engines]
    for engine, recorder in zip(engines, recorders, strict=True):
        await engine.open()
        await engine.notifier().start(recorder)
    await engines[0].notify([JOBS])
    await recorders[2].until(lambda: recorders[2].signals == [JOBS])
    assert recorders[0].signals == recorders[1].signals == []
    for engine in engines:
        await engine.close()


@pytest.mark.usefixtures("never_looks")
async def test_many_signals_arrive_though_a_datagram_is_bounded(engine: Engine, other: Engine):
    notifier, recorder = engine.notifier(), SignalRecorder()
    await notifier.start(recorder)
    signals = [Signal(SignalKind.JOBS, f"{number:04}\u2028" + "q" * 190) for number in range(300)]
    await other.notify(signals)
    await recorder.until(lambda: len(recorder.signals) == len(signals))
    assert recorder.signals == signals
    await notifier.stop()


async def test_a_path_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notifiers, "WATCH_INTERVAL", 3_600.0)
    folder = tmp_path / ("f" * 200)
    folder.mkdir()
    async with opened(folder / "long.db") as here, opened(folder / "long.db") as there:
        notifier, recorder = here.notifier(), SignalRecorder()
        await notifier.start(recorder)
        await there.notify([JOBS])
        await recorder.until(lambda: recorder.signals == [JOBS])
        await notifier.stop()


async def test_where_no_socket_can_be_the_commit_is_seen(engine: Engine, other: Engine, path: Path):
    path.with_name(f"{path.name}-wake").touch()  # a file in place of the folder
    notifier, recorder = engine.notifier(), SignalRecorder()
    await notifier.start(recorder)
    await put(other)
    await other.notify([JOBS])
    await recorder.until(lambda: CHANGED in recorder.signals)
    assert JOBS not in recorder.signals
    await notifier.stop()


async def test_a_stop_and_a_close_remove_their_sockets(engine: Engine, other: Engine, path: Path):
    stopped, closed = engine.notifier(), other.notifier()
    await stopped.start(SignalRecorder())
    await closed.start(SignalRecorder())
    assert len(sockets(path)) == 2
    await stopped.stop()
    await other.close()
    assert sockets(path) == []
    await closed.stop()


async def test_the_socket_of_a_process_that_died_is_removed_by_a_sender(engine: Engine, path: Path):
    datagrams = Datagrams(path, Bus())
    datagrams.listen(lambda signal: None)
    (left,) = sockets(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path.with_name(f"{path.name}-wake") / "dead"))
    await engine.notify([JOBS])
    assert sockets(path) == [left]
    datagrams.close()


async def test_a_receiver_that_does_not_read_delays_nobody(engine: Engine, path: Path):
    silent = path.with_name(f"{path.name}-wake") / "silent"
    silent.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(silent))
        async with asyncio.timeout(10):
            for _ in range(1_000):
                await engine.notify([JOBS])
        assert silent.exists()


async def test_texts_that_are_no_signals_are_ignored(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
):
    recorder = SignalRecorder()
    datagrams = Datagrams(path, Bus())
    datagrams.listen(recorder)
    (name,) = sockets(path)
    monkeypatch.chdir(path.with_name(f"{path.name}-wake"))  # a socket's path must be short
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for text in (b"", b"\xff\xfe", b"other:thing", b"jobs:default\n"):
            sender.sendto(text, name)
    await recorder.until(lambda: recorder.signals == [JOBS])
    datagrams.close()


async def test_who_may_use_the_database_may_announce(engine: Engine, path: Path):
    await asyncio.to_thread(path.chmod, 0o660)
    datagrams = Datagrams(path, Bus())
    datagrams.listen(lambda signal: None)
    folder = path.with_name(f"{path.name}-wake")
    (name,) = sockets(path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o770
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o660
    datagrams.close()
