"""Many processes and one SQLite file."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.protocol.signals import Signal
from elihu.engines.sqlite.connection import connect
from tests.engines.builders import (
    new,
    put,
)
from tests.engines.sqlite_support import outcome


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


# many processes


def test_connections_that_turn_wal_on_at_once(tmp_path: Path) -> None:
    """SQLite does not wait where two do so: without another try, one in fifteen of
    these rounds would fail.
    """

    def open_one(number: int) -> None:
        start.wait()
        connect(
            tmp_path / f"{number}.db", synchronous="normal", call_timeout=10, read_only=False
        ).close()

    start = Barrier(6)
    with ThreadPoolExecutor(6) as threads:
        for number in range(60):
            for opening in [threads.submit(open_one, number) for _ in range(6)]:
                opening.result()


async def test_processes_that_start_together(path: Path) -> None:
    """On a file that is not there yet: who turns WAL on and who makes the tables is
    settled among them.
    """
    processes = [
        outcome(
            "await engine.check_schema(); print((await engine.insert([NewJob(task='t')]))[0].id)",
            path,
        )
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=50)[0] for process in processes]
    assert sorted(answers) == ["1\n", "2\n", "3\n", "4\n"]


async def test_two_processes_share_the_work(engine: Engine, path: Path) -> None:
    """Each completes what it fetched; no job is fetched by both."""
    script = """
        here = sys.stdin.readline().strip()
        await engine.register_node(here, "child", {})
        done, acks = [], []
        while True:
            answer = await engine.exchange(here, "default", 5, acks)
            assert len(answer.acked) == len(acks)
            if not answer.claims:
                break
            from elihu.engines.protocol import Ack
            done += [claim.id for claim in answer.claims]
            acks = [
                Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)
                for claim in answer.claims
            ]
        print(*done)
    """
    ids = await put(engine, *(new() for _ in range(400)))
    processes = [outcome(script, path) for _ in range(2)]
    answers = await asyncio.gather(
        *(
            asyncio.to_thread(process.communicate, f"node-{turn}\n", 50)
            for turn, process in enumerate(processes)
        )
    )
    done = [int(id_) for out, _ in answers for id_ in out.split()]
    assert sorted(done) == ids
    assert await engine.counts() == {"default": {"completed": 400}}


def test_a_program_that_forgets_to_close_still_ends(path: Path) -> None:
    process = outcome(
        "await engine.check_schema(); await engine.insert([NewJob(task='t')]); await "
        "engine.notifier().start(print)",
        path,
    )
    process.communicate(timeout=20)
    assert process.returncode == 0


async def test_news_of_another_process_comes_within_a_tenth_of_a_second(
    engine: Engine, other: Engine
) -> None:
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    notifier = engine.notifier()
    await notifier.start(heard.put_nowait)
    waits = []
    for _ in range(5):
        await put(other)
        begun = time.monotonic()
        async with asyncio.timeout(10):
            await heard.get()
        waits.append(time.monotonic() - begun)
    await notifier.stop()
    assert min(waits) < 0.1


async def test_what_the_engine_writes_itself_is_no_news(engine: Engine, other: Engine) -> None:
    mine: asyncio.Queue[Signal] = asyncio.Queue()
    theirs: asyncio.Queue[Signal] = asyncio.Queue()
    first, second = engine.notifier(), other.notifier()
    await first.start(mine.put_nowait)
    await second.start(theirs.put_nowait)
    for _ in range(3):
        await put(engine)
        async with asyncio.timeout(10):
            await theirs.get()
    assert mine.empty()
    await first.stop()
    await second.stop()


async def test_every_notifier_of_an_engine_receives_signals(engine: Engine, other: Engine) -> None:
    queues: list[asyncio.Queue[Signal]] = [asyncio.Queue(), asyncio.Queue()]
    notifiers = [engine.notifier() for _ in queues]
    for notifier, queue in zip(notifiers, queues, strict=True):
        await notifier.start(queue.put_nowait)
    await put(other)
    async with asyncio.timeout(10):
        await asyncio.gather(*(queue.get() for queue in queues))
    await notifiers[0].stop()
    await put(other)
    async with asyncio.timeout(10):
        await queues[1].get()
    assert queues[0].empty()
    await notifiers[1].stop()
