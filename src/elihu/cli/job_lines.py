"""Unfinished jobs as lines of JSON: how they leave a database, and enter another one
once.
"""

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

from elihu.app import Elihu
from elihu.cli.group import Failure
from elihu.engines.in_transaction import Act, Stored, open_session
from elihu.engines.protocol.transfer import StoredJob
from elihu.job import JobState, NewJob

PIECE: Final = 500
"""Jobs that are read, or stored in one transaction."""
LEDGER: Final = "elihu.jobs.import"
"""Under this name the ledger of triggers holds which jobs were imported."""
FORM: Final = 1
_TIMES: Final = ("scheduled_at", "expires_at", "occurrence")
_TEXTS: Final = ("args", "options", "meta")
_SQLITE: Final = "sqlite:///"


async def lines(app: Elihu) -> AsyncIterator[str]:
    """A line for each unfinished job, oldest first. Raises ``Failure`` for one that is
    executing: its attempt may still end, and the job would run twice.
    """
    engine = await app._clients.client().ready()
    if running := await app.jobs.count(state=JobState.EXECUTING):
        raise Failure(
            f"expected no executing jobs, got {running:,}: stop the nodes first, which gives their "
            "jobs back"
        )
    installation = await engine.installation()
    after = 0
    while jobs := await engine.stored_jobs(after, PIECE):
        for job in jobs:
            yield _line(job, installation)
        after = jobs[-1].id


def _line(job: StoredJob, installation: str) -> str:
    values = {"elihu": FORM, "installation": installation, **job._asdict()}
    for name in _TIMES:
        if values[name] is not None:
            values[name] = values[name].astimezone(UTC).isoformat()
    for name in _TEXTS:
        if values[name] is not None:
            values[name] = json.loads(values[name])
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


class Imported:
    """What an import did: jobs stored, jobs that an earlier import had stored, and jobs
    whose unique key another job holds.
    """

    def __init__(self) -> None:
        self.stored = self.known = self.conflicts = 0


async def store_lines(
    app: Elihu, given: Iterable[str], progress: Callable[[Imported], None]
) -> Imported:
    """Store the jobs of lines, in transactions of 500. Each writes in a ledger which jobs
    it stored, so that a repeated or interrupted import stores each job once. Raises
    ``Failure``, which names the line, for one that cannot be read.
    """
    done = Imported()
    await app._clients.client().ready(make=True)
    numbered = ((number, text) for number, text in enumerate(given, 1) if text.strip())
    read = (_read(number, text) for number, text in numbered)
    while piece := list(islice(read, PIECE)):
        await _store(app, piece, done)
        progress(done)
    return done


class _Read(NamedTuple):
    """A job to store, and the tick for which a cron entry made it."""

    new: NewJob
    occurrence: datetime | None


async def _store(app: Elihu, piece: Sequence[tuple[bytes, _Read]], done: Imported) -> None:
    jobs = dict(piece)
    act = Act(LEDGER, sorted(jobs), None)
    url = app.config.database_url
    if url.startswith(_SQLITE):
        with _sqlite_transaction(url, app.config.call_timeout) as connection:
            session = open_session(connection, app.config)
            fresh = session.act_once(act)
            new = [job for digest, job in jobs.items() if digest in fresh]
            stored = session.insert([job.new for job in new], notify=True) if new else []
            if times := _occurrences(new, stored):
                session.set_occurrences(times)
    else:
        connection = await app.tables.connect()
        try:
            async with connection.transaction():
                session = open_session(connection, app.config)
                fresh = await session.aact_once(act)
                new = [job for digest, job in jobs.items() if digest in fresh]
                stored = await session.ainsert([job.new for job in new], notify=True) if new else []
                if times := _occurrences(new, stored):
                    await session.aset_occurrences(times)
        finally:
            await connection.close()
    conflicts = sum(map(_is_held, stored))
    done.known += len(piece) - len(new)
    done.conflicts += conflicts
    done.stored += len(stored) - conflicts


def _is_held(stored: Stored) -> bool:
    return stored.row.conflict or stored.holder is not None


def _occurrences(read: Sequence[_Read], stored: Sequence[Stored]) -> dict[int, datetime]:
    """The occurrences of the jobs that were stored, by their new ids."""
    return {
        each.row.id: job.occurrence
        for job, each in zip(read, stored, strict=True)
        if job.occurrence is not None and not _is_held(each)
    }


@contextmanager
def _sqlite_transaction(url: str, timeout: float) -> Iterator[sqlite3.Connection]:
    """A transaction that takes the write lock at once, on a connection of its own."""
    connection = sqlite3.connect(url.removeprefix(_SQLITE), timeout=timeout, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


def _read(number: int, text: str) -> tuple[bytes, _Read]:
    """What tells the job from every other one, and the job to store."""
    try:
        values = json.loads(text)
        if values.pop("elihu") != FORM:
            raise ValueError("another form than this release writes")
        installation = str(values.pop("installation"))
        for name in _TIMES:
            if values.get(name) is not None:
                values[name] = datetime.fromisoformat(values[name])
        for name in _TEXTS:
            if values[name] is not None:
                values[name] = json.dumps(values[name], ensure_ascii=False)
        job = StoredJob(**values)
        digest = hashlib.sha256(f"{installation}:{job.id}".encode()).digest()
        return digest, _Read(_new(job), job.occurrence)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Failure(
            f"line {number}: expected a job as elihu jobs export writes it, got {error!r}; the "
            "jobs before it may be stored: mend the line and import the file again"
        ) from error


def _new(job: StoredJob) -> NewJob:
    key = None if job.unique_key is None else bytes.fromhex(job.unique_key)
    if key is not None and job.unique_window is not None:
        key += job.unique_window.to_bytes(8, "big", signed=True)
    expires = None
    if job.expires_at is not None:
        expires = (job.expires_at - job.scheduled_at).total_seconds()
    return NewJob(
        task=job.task,
        args=job.args,
        queue=job.queue,
        priority=job.priority,
        max_attempts=max(1, job.max_attempts - job.attempt),
        options=job.options,
        meta=job.meta,
        tags=tuple(job.tags),
        run_at=job.scheduled_at,
        hold=job.state == JobState.SUSPENDED,
        unique_key=key,
        unique_scope=job.unique_scope,
        expires=expires,
        awaited=job.awaited,
        template=job.template,
        identifier=job.identifier,
    )
