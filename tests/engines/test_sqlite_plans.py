"""What a statement costs at many finished jobs is what it costs in an empty table: the
rows it looks at are those of its batch.

Counted in steps of SQLite's virtual machine, which are the same in every run. All of it
once more with the statistics of ANALYZE, which somebody may have run.
"""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elihu.config import Config, RetentionConfig
from elihu.engines.in_transaction import Completion, open_session
from elihu.engines.protocol import Ack
from elihu.engines.protocol.waits import Wait
from elihu.engines.retention import Retention
from elihu.engines.sqlite import (
    exchange,
    insert,
    jobs,
    maintenance,
    migrations,
    waits,
)
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session
from elihu.errors import IdentifierTaken
from elihu.job import JobFilter, JobState, NewJob, RunOutcome

pytestmark = pytest.mark.timeout(180)

FINISHED = 1_000_000 if os.environ.get("ELIHU_TEST_MORE") else 100_000
BATCH = 500
RETENTION = Retention(RetentionConfig())
STEP = 100
"""Steps between two calls of the counter."""


class Counter:
    """Counts the steps of what a connection executes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.steps = 0
        connection.set_progress_handler(self._count, STEP)

    def of(self, work: Callable[[], Any]) -> int:
        self.steps = 0
        work()
        return self.steps

    def _count(self) -> int:
        self.steps += STEP
        return 0


def database(path: Path, finished: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    migrations.migrate(Session(connection))
    connection.execute(statement("exchange_ends"))
    connection.execute("INSERT INTO node (id, name) VALUES ('here', 'here')")
    connection.execute(
        """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO job (state, task, node, claim, attempt, started_at, finished_at,
          unique_key, unique_scope)
        SELECT 'completed', 't', 'here', 1, 1, 1e9, 1e9 + i,
          iif(i % 10, NULL, 'key' || i), iif(i % 10, NULL, 1) FROM n""",
        (finished,),
    )
    return connection


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = database(tmp_path_factory.mktemp("small") / "small.db", 10)
    yield connection
    connection.close()


@pytest.fixture(scope="module", params=["plain", "analyzed"])
def large(request: pytest.FixtureRequest, filled: sqlite3.Connection) -> sqlite3.Connection:
    if request.param == "analyzed":
        filled.execute("ANALYZE")
    return filled


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = database(tmp_path_factory.mktemp("large") / "large.db", FINISHED)
    yield connection
    connection.close()


def claimed(session: Session, number: int) -> list[Ack]:
    """Acknowledgements, half of them plain, of jobs that the node executes."""
    insert.insert(session, [NewJob(task="t") for _ in range(number)])
    claims = exchange.exchange(session, "here", "default", number, [], None, [], RETENTION).claims
    assert len(claims) == number
    return [
        Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)
        if claim.id % 2
        else Ack(claim.id, claim.claim, RunOutcome.FAILED, JobState.RETRYABLE, 60.0, error="boom")
        for claim in claims
    ]


def exchange_batch(session: Session) -> Callable[[], object]:
    acks = claimed(session, BATCH)
    insert.insert(session, [NewJob(task="t") for _ in range(BATCH)])
    return lambda: check(
        exchange.exchange(session, "here", "default", BATCH, acks, None, ["unknown"], RETENTION),
        acked=BATCH,
        claims=BATCH,
    )


def check(answer: tuple[list[Any], list[Any]], acked: int, claims: int) -> None:
    assert (len(answer[0]), len(answer[1])) == (acked, claims)


def stage_batch(session: Session) -> Callable[[], object]:
    ids = [
        inserted.id
        for inserted in insert.insert(session, [NewJob(task="t", delay=60.0) for _ in range(BATCH)])
    ]
    session.execute("UPDATE job SET scheduled_at = 1e9 WHERE id >= ?", (ids[0],))
    insert.insert(session, [NewJob(task="t", delay=60.0) for _ in range(BATCH)])

    def work() -> None:
        assert maintenance.stage(session, BATCH).queues == {"default": BATCH}

    return work


def rescue_batch(session: Session) -> Callable[[], object]:
    claimed(session, BATCH)
    session.execute("INSERT INTO node (id, name) VALUES ('other', 'other')")
    session.execute("DELETE FROM node WHERE id = 'here'")

    def work() -> None:
        assert len(maintenance.rescue(session, BATCH)) == BATCH

    return work


def reconcile_batch(session: Session) -> Callable[[], object]:
    held = [(ack.id, ack.claim) for ack in claimed(session, BATCH)]
    session.execute("UPDATE job SET started_at = 1e9 WHERE state = 'executing'")

    def work() -> None:
        assert len(maintenance.reconcile(session, "here", held[1:], 60.0)) == 1

    return work


def idle_polls(session: Session) -> Callable[[], object]:
    def work() -> None:
        assert exchange.exchange(session, "here", "default", BATCH, [], None, [], RETENTION) == (
            [],
            [],
        )
        assert maintenance.stage(session, BATCH).queues == {}
        assert maintenance.rescue(session, BATCH) == []
        assert maintenance.reconcile(session, "here", [], 60.0) == []
        assert maintenance.intents(session, "here") == []
        assert maintenance.expire(session, BATCH) == []

    return work


def unique_batch(session: Session) -> Callable[[], object]:
    new = [
        NewJob(task="t", unique_key=number.to_bytes(8, "big"), unique_scope=2)
        for number in range(BATCH)
    ]

    def work() -> None:
        assert len(insert.insert(session, new)) == BATCH
        assert all(inserted.conflict for inserted in insert.insert(session, new))

    return work


def progress_batch(session: Session) -> Callable[[], object]:
    acks = claimed(session, BATCH)
    return lambda: maintenance.record_progress(
        session, "here", [(ack.id, ack.claim, "{}") for ack in acks]
    )


def prune_batch(session: Session) -> Callable[[], object]:
    insert.insert(session, [NewJob(task="t") for _ in range(BATCH)])
    session.execute(
        "UPDATE job SET state = 'cancelled', finished_at = 1e9 WHERE state = 'available'"
    )

    def work() -> None:
        short = RetentionConfig(states={"cancelled": 60.0})
        assert maintenance.prune(session, short, BATCH) == (BATCH, 0)

    return work


def expire_batch(session: Session) -> Callable[[], object]:
    insert.insert(session, [NewJob(task="t", expires=60.0) for _ in range(2 * BATCH)])
    session.execute("UPDATE job SET expires_at = 1e9 WHERE state = 'available'")

    def work() -> None:
        assert len(maintenance.expire(session, BATCH)) == BATCH

    return work


def control_batch(session: Session) -> Callable[[], object]:
    held = [(ack.id, ack.claim) for ack in claimed(session, BATCH)]
    where = JobFilter(ids=tuple(id_ for id_, _ in held))

    def work() -> None:
        assert maintenance.lost_claims(session, "here", [*held, (held[0][0], 9)]) == [
            (held[0][0], 9)
        ]
        assert jobs.stop(session, held[0][0]).changed == 1
        picked = jobs.pick(session, jobs.kill, where, 0, held[-1][0])
        assert picked is not None
        assert jobs.change(session, jobs.kill, where, picked).changed == BATCH - 1

    return work


def waits_batch(session: Session) -> Callable[[], object]:
    acks = claimed(session, BATCH)
    exchange.exchange(session, "here", "default", 0, acks, None, [], RETENTION)
    pending = [Wait(ack.id, 0, False) for ack in acks]

    def work() -> None:
        assert len(waits.attach(session, [wait.id for wait in pending])) == BATCH
        assert len(waits.ends(session, pending, 1_000)) == BATCH

    return work


def caller_batch(session: Session) -> Callable[[], object]:
    acks = claimed(session, 20)
    session.execute("UPDATE meta SET value = 'here' WHERE key = 'installation_id'")
    new = [
        NewJob(
            task="t", unique_key=number.to_bytes(8, "big"), unique_scope=2, identifier=str(number)
        )
        for number in range(BATCH)
    ]
    (file,) = session.row("SELECT file FROM pragma_database_list WHERE name = 'main'")
    caller = open_session(session.connection, Config(database_url=f"sqlite:///{file}"))

    def work() -> None:
        assert len(caller.insert(new, notify=True)) == BATCH
        again = caller.insert([replace(job, identifier=None) for job in new], notify=True)
        assert all(stored.row.conflict for stored in again)
        with pytest.raises(IdentifierTaken):
            caller.insert([NewJob(task="t", identifier="7")], notify=True)
        for ack in acks:
            completion = Completion(
                ack.id, ack.claim, "here", "here", None, None, "log", None, True
            )
            assert caller.complete([completion])[0].done

    return work


def cancel_by_id(session: Session) -> Callable[[], object]:
    ids = tuple(
        inserted.id for inserted in insert.insert(session, [NewJob(task="t") for _ in range(BATCH)])
    )
    where = JobFilter(ids=ids)

    def work() -> None:
        picked = jobs.pick(session, jobs.cancel, where, 0, ids[-1])
        assert picked is not None
        assert jobs.change(session, jobs.cancel, where, picked).changed == BATCH

    return work


VERBS = [
    exchange_batch,
    stage_batch,
    rescue_batch,
    expire_batch,
    control_batch,
    reconcile_batch,
    idle_polls,
    unique_batch,
    progress_batch,
    prune_batch,
    waits_batch,
    caller_batch,
    cancel_by_id,
]


def steps_of(
    connection: sqlite3.Connection, verb: Callable[[Session], Callable[[], object]]
) -> int:
    """The steps of the verb's work; what was prepared for it does not count, and
    nothing of it stays.
    """
    session = NestedSession(connection)
    connection.execute("BEGIN")
    try:
        return Counter(connection).of(verb(session))
    finally:
        connection.execute("ROLLBACK")


class NestedSession(Session):
    """Leaves the transaction to the test."""

    __slots__ = ()

    def write(self) -> Any:
        return nullcontext()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_the_cost_is_that_of_the_batch(
    small: sqlite3.Connection,
    large: sqlite3.Connection,
    verb: Callable[[Session], Callable[[], object]],
) -> None:
    few, many = steps_of(small, verb), steps_of(large, verb)
    assert few > 0 or verb is idle_polls
    assert many <= 1.05 * few + 10 * STEP, (
        f"{few} steps beside 10 finished jobs, {many} beside {FINISHED:,}"
    )


def test_the_ends_of_one_exchange_are_not_those_of_the_next(small: sqlite3.Connection) -> None:
    small.execute("BEGIN")
    exchange_batch(NestedSession(small))()
    assert small.execute("SELECT count(*) FROM temp.ending").fetchone() == (0,)
    small.execute("ROLLBACK")


INDEXES = {
    "exchange_peek": ["job_fetch"],
    "exchange_written": ["INTEGER PRIMARY KEY"],
    "exchange_runs": ["INTEGER PRIMARY KEY"],
    "exchange_ack": ["INTEGER PRIMARY KEY"],
    "exchange_claims": ["job_fetch"],
    "exchange_fetch": ["INTEGER PRIMARY KEY", "job_fetch"],
    "stage_due": ["job_stage"],
    "stage": ["INTEGER PRIMARY KEY", "job_stage"],
    "stage_ready": ["job_fetch"],
    "rescue_lost": ["job_running"],
    "rescue_runs": ["INTEGER PRIMARY KEY"],
    "rescue": ["INTEGER PRIMARY KEY"],
    "reconcile_lost": ["job_running"],
    "intents": ["job_running"],
    "lost_claims": ["INTEGER PRIMARY KEY"],
    "stop": ["INTEGER PRIMARY KEY"],
    "stop_runs": ["INTEGER PRIMARY KEY"],
    "expire_due": ["job_expiry"],
    "expire": ["INTEGER PRIMARY KEY"],
    "record_progress": ["INTEGER PRIMARY KEY"],
    "prune_pick": ["job_finished", "job_prune"],
    "insert_holders": ["job_unique"],
    "position": ["INTEGER PRIMARY KEY", "job_fetch"],
    "nodes": ["job_running"],
    "get_by_identifier": ["job_identifier"],
    "insert_identifiers": ["job_identifier"],
    "front": ["job_fetch"],
}


@pytest.mark.parametrize("name", INDEXES)
def test_the_plan_uses_its_index(large: sqlite3.Connection, name: str) -> None:
    text = statement(name)
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    details = [row[3] for row in large.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    tables = [detail for detail in details if re.match(r"(SEARCH|SCAN) (job|j|o)\b", detail)]
    assert tables, details
    for detail in tables:
        assert any(
            f"USING {kind}{index}" in detail
            for index in INDEXES[name]
            for kind in ("", "INDEX ", "COVERING INDEX ")
        ), details
    for index in INDEXES[name]:
        assert any(index in detail for detail in tables), details
