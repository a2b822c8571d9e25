"""The tasks of the experiments. Each attempt writes when it began and ended, and has an
effect in a transaction of its own.
"""

import asyncio
import ctypes
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path

import asyncpg

from elihu import Context, Elihu, Unique
from elihu.engines.postgres.url import driver_url
from elihu.failpoints import ACTIVE, reach
from elihu.telemetry.events import JobStarted
from oracle.journal import Journal
from oracle.programs import process_tasks
from oracle.programs.command_tasks import run_tree

LISTENS = 0.1
"""Seconds between two looks of a thread at ``ctx.cancelled``."""

_attempt: ContextVar[tuple[int, int, str]] = ContextVar("attempt")


COMPLETING = frozenset({"oracle.complete", "oracle.complete_sync"})
"""The tasks whose effect and end are one transaction, on PostgreSQL and on SQLite."""
_EFFECT = "INSERT INTO {}oracle_effect (id, claim, key) VALUES ({}, {}, '{}')"


def answer_to(key: str) -> str:
    """What the task ``oracle.answer`` returns."""
    return f"the answer to {key}"


class Planned(Exception):
    """A failure that the experiment asked for."""


class Effects:
    """The effects of attempts: one row each, in a file of this process alone, which no
    other fault reaches.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE effect (id INTEGER, claim INTEGER, key TEXT, PRIMARY KEY (id, claim)) "
            "STRICT"
        )
        self._lock = threading.Lock()

    def have(self, job_id: int, claim: int, key: str) -> None:
        with self._lock:
            self._connection.execute("INSERT INTO effect VALUES (?, ?, ?)", (job_id, claim, key))


class Work:
    """One attempt: ``begin``, ``effect``, ``end``."""

    def __init__(self, journal: Journal, effects: Effects | None, key: str) -> None:
        self._journal = journal
        self._effects = effects
        self.key = key
        self.job_id, self.claim, self.node = _attempt.get()

    def begin(self, *, fail: bool) -> None:
        self._journal.write("begin", id=self.job_id, claim=self.claim, key=self.key, node=self.node)
        if fail:
            raise Planned

    def effect(self) -> None:
        if ACTIVE:
            reach("before effect")
        assert self._effects is not None
        self._effects.have(self.job_id, self.claim, self.key)
        if ACTIVE:
            reach("after effect")

    def end(self) -> None:
        self._journal.write("end", id=self.job_id, claim=self.claim)

    @contextmanager
    def ending_by_errors(self) -> Iterator[None]:
        """Write the end if the block raises."""
        try:
            yield
        except BaseException:
            self.end()
            raise


def declare(app: Elihu, journal: Journal | None = None, effects: Effects | None = None) -> None:
    """Declare the tasks in ``app``; an enqueuer needs neither journal nor effects."""

    def work(key: str) -> Work:
        assert journal is not None
        assert effects is not None
        return Work(journal, effects, key)

    app.include(process_tasks.tasks)
    app.on(JobStarted, lambda event: _attempt.set((event.job_id, event.claim, event.node)) and None)

    @app.task(name="oracle.wait", backoff=0.2, max_attempts=1_000, max_orphans=100)
    async def wait(
        key: str, seconds: float = 0.0, fails: int = 0, drags: float = 0.0, *, ctx: Context
    ) -> None:
        attempt = work(key)
        try:
            attempt.begin(fail=ctx.attempt <= fails)
            attempt.effect()
            await asyncio.sleep(seconds + (drags if ctx.attempt == 1 else 0))
        finally:
            attempt.end()

    @app.task(name="oracle.answer", backoff=0.2, max_attempts=1_000, max_orphans=100)
    async def answer(key: str, seconds: float = 0.0, fails: int = 0, *, ctx: Context) -> str:
        attempt = work(key)
        try:
            attempt.begin(fail=ctx.attempt <= fails)
            attempt.effect()
            await asyncio.sleep(seconds)
        finally:
            attempt.end()
        return answer_to(key)

    @app.task(name="oracle.thread", backoff=0.2, max_attempts=1_000, max_orphans=100)
    def thread(
        key: str, seconds: float = 0.0, fails: int = 0, drags: float = 0.0, *, ctx: Context
    ) -> None:
        attempt = work(key)
        try:
            attempt.begin(fail=ctx.attempt <= fails)
            attempt.effect()
            until = time.monotonic() + seconds + (drags if ctx.attempt == 1 else 0)
            while (left := until - time.monotonic()) > 0 and not ctx.cancelled:
                time.sleep(min(left, LISTENS))
        finally:
            attempt.end()

    @app.task(name="oracle.complete", backoff=0.2, max_attempts=1_000, max_orphans=100)
    async def complete(key: str, seconds: float = 0.0, fails: int = 0, *, ctx: Context) -> None:
        attempt = work(key)
        with attempt.ending_by_errors():
            attempt.begin(fail=ctx.attempt <= fails)
            await asyncio.sleep(seconds)
            connection = await asyncpg.connect(driver_url(app.config.database_url))
            try:
                if ACTIVE:
                    reach("before complete")
                async with connection.transaction():
                    await connection.execute(
                        _EFFECT.format("elihu.", attempt.job_id, attempt.claim, key)
                    )
                    attempt.end()
                    await ctx.complete(conn=connection)
                    if ACTIVE:
                        reach("inside complete")
                if ACTIVE:
                    reach("after complete")
            finally:
                await connection.close(timeout=5)

    @app.task(name="oracle.complete_sync", backoff=0.2, max_attempts=1_000, max_orphans=100)
    def complete_sync(key: str, seconds: float = 0.0, fails: int = 0, *, ctx: Context) -> None:
        attempt = work(key)
        with attempt.ending_by_errors():
            attempt.begin(fail=ctx.attempt <= fails)
            time.sleep(seconds)
            if ACTIVE:
                reach("before complete")
            with (
                closing(
                    sqlite3.connect(app.config.database_url.removeprefix("sqlite:///"), timeout=20)
                ) as connection,
                connection,
            ):
                connection.execute(_EFFECT.format("", attempt.job_id, attempt.claim, key))
                attempt.end()
                ctx.complete_sync(conn=connection)
                if ACTIVE:
                    reach("inside complete")
            if ACTIVE:
                reach("after complete")

    @app.task(name="oracle.command", backoff=0.2, max_attempts=1_000, max_orphans=100)
    async def command(key: str, seconds: float = 0.0, fails: int = 0, *, ctx: Context) -> None:
        attempt = work(key)
        try:
            attempt.begin(fail=ctx.attempt <= fails)
            attempt.effect()
            end = await run_tree(key, seconds)
            assert end.status == "succeeded", end
        finally:
            attempt.end()

    @app.task(name="oracle.block", max_attempts=1_000)
    async def block(key: str, seconds: float, times: int = 1) -> None:
        """Block the node's event loop, several times with a moment between."""
        attempt = work(key)
        try:
            attempt.begin(fail=False)
            attempt.effect()
            for _ in range(times):
                time.sleep(seconds)  # noqa: ASYNC251
                await asyncio.sleep(0.01)
        finally:
            attempt.end()

    @app.task(name="oracle.lock", max_attempts=1_000)
    def lock(key: str, seconds: float) -> None:
        """Keep the interpreter's lock: a call through ``PyDLL`` does not release it."""
        attempt = work(key)
        try:
            attempt.begin(fail=False)
            attempt.effect()
            ctypes.PyDLL(None).sleep(int(seconds))
        finally:
            attempt.end()

    @app.task(
        name="oracle.once",
        unique=Unique(by=("task", "args"), keys=("key",), states="all"),
        backoff=0.2,
        max_orphans=100,
    )
    async def once(key: str, seconds: float = 0.0, fails: int = 0, *, ctx: Context) -> None:
        attempt = work(key)
        try:
            attempt.begin(fail=ctx.attempt <= fails)
            attempt.effect()
            await asyncio.sleep(seconds)
        finally:
            attempt.end()
