"""Both engines in step: whatever is done to jobs, in whatever order, they answer alike,
and every change of state is a legal one.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from elihu.config import Config
from elihu.engines.protocol import Ack, BulkResult, ClaimedJob, Engine
from elihu.engines.select import engine_for
from elihu.errors import InvalidTransition, UniqueConflict
from elihu.job import FINISHED, TRANSITIONS, JobChanges, JobFilter, JobState, NewJob, RunOutcome
from elihu.telemetry.bus import Bus
from tests.engines.raw import Ago, Raw, raw_for

QUEUES = ("default", "mail")
KEYS = (None, None, b"one", b"two")
FAR = 3_600.0

queues = st.sampled_from(QUEUES)
picks = st.integers(0, 10**6)


class Ending(NamedTuple):
    """How an attempt ends; ``delay`` is in seconds."""

    outcome: RunOutcome
    state: JobState
    delay: float | None = None
    refund_attempt: int = 0
    value: str | None = None
    error: str | None = None
    log: str | None = None


ENDINGS = (
    Ending(RunOutcome.COMPLETED, JobState.COMPLETED),
    Ending(RunOutcome.COMPLETED, JobState.COMPLETED, value='{"kept": 1}'),
    Ending(RunOutcome.COMPLETED, JobState.COMPLETED, log="a line"),
    Ending(RunOutcome.FAILED, JobState.RETRYABLE, delay=FAR, error="boom"),
    Ending(RunOutcome.FAILED, JobState.RETRYABLE, delay=FAR, error="boom", log="a line"),
    Ending(RunOutcome.FAILED, JobState.RETRYABLE, delay=FAR),
    Ending(RunOutcome.FAILED, JobState.DISCARDED, error="boom"),
    Ending(RunOutcome.CANCELLED, JobState.CANCELLED),
    Ending(RunOutcome.KILLED, JobState.RETRYABLE, delay=FAR),
    Ending(RunOutcome.TIMED_OUT, JobState.DISCARDED),
    Ending(RunOutcome.SNOOZED, JobState.SCHEDULED, delay=FAR, refund_attempt=1),
    Ending(RunOutcome.RETURNED, JobState.AVAILABLE, refund_attempt=1),
    Ending(RunOutcome.RETURNED, JobState.SCHEDULED, delay=FAR, refund_attempt=1),
)


endings = st.sampled_from(ENDINGS)


class Side(NamedTuple):
    """One engine of the two, and what it calls the jobs: by the order of their birth."""

    engine: Engine
    raw: Raw
    ids: list[int]

    def number(self, id_: int) -> int:
        return self.ids.index(id_)


class Look(NamedTuple):
    """What is compared of a job."""

    state: JobState
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    claim: int
    orphans: int
    intent: str | None
    reason: str | None
    result: Any
    started: bool
    finished: bool
    runs: tuple[tuple[int, int, str | None], ...]


class Engines(RuleBasedStateMachine):
    """Each rule does one thing to both engines and compares what they say of it; the
    invariant compares all jobs.
    """

    runner: ClassVar[asyncio.Runner]
    sides: ClassVar[tuple[Side, Side]]

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[str] = []
        self.claims: list[tuple[str, int, int]] = []
        self.before: list[JobState] = []
        self.both(self.clean)
        self.register_node()
        self.insert(
            [
                NewJob(task="a", queue=queue, max_attempts=attempts)
                for queue in QUEUES
                for attempts in (1, 2, 3, 20)
            ]
        )
        self.insert(
            [
                NewJob(task="b", unique_key=b"one", unique_scope=0),
                NewJob(task="b", unique_key=b"two", unique_scope=1),
            ]
        )
        self.fetch(QUEUES[0], 0, ())

    # one thing on both sides

    def both(self, act: Callable[[Side], Coroutine[Any, Any, Any]]) -> Any:
        """What both sides answer, which is one thing."""
        first, second = (self.runner.run(act(side)) for side in self.sides)
        assert first == second
        return first

    @staticmethod
    async def clean(side: Side) -> None:
        side.ids.clear()
        for table in ("run", "job", "node"):
            await side.raw.execute(f"DELETE FROM {table}")

    @property
    def jobs(self) -> int:
        return len(self.sides[0].ids)

    def some(self, pick: int) -> int:
        return pick % self.jobs

    # what nodes do

    @precondition(lambda self: len(self.nodes) < 3)
    @rule()
    def register_node(self) -> None:
        node = str(uuid4())
        self.both(lambda side: side.engine.register_node(node, "node", {}))
        self.nodes.append(node)

    @rule(queue=queues, pick=picks, exclude=st.sampled_from([(), (), ("a",)]))
    def fetch(self, queue: str, pick: int, exclude: tuple[str, ...]) -> None:
        """All there is, since which of several come first depends on times, and
        SQLite's have a thousandth of a second.
        """
        node = self.nodes[pick % len(self.nodes)] if self.nodes else str(uuid4())

        async def act(side: Side) -> set[tuple[int, int, int, int, str]]:
            claims = (await side.engine.exchange(node, queue, 100, [], exclude=exclude)).claims
            assert [place(claim) for claim in claims] == sorted(map(place, claims))
            return {
                (side.number(claim.id), claim.claim, claim.attempt, claim.orphans, claim.task)
                for claim in claims
            }

        for number, claim, *_ in sorted(self.both(act)):
            assert (number, claim) not in {known[1:] for known in self.claims}
            self.claims.append((node, number, claim))

    @precondition(lambda self: self.claims)
    @rule(
        pick=picks,
        ends=st.lists(st.tuples(picks, endings), min_size=1, max_size=8),
        keep=st.booleans(),
    )
    def acknowledge(self, pick: int, ends: list[tuple[int, Ending]], keep: bool) -> None:
        """What a node claimed; with ``keep`` it will send the same claims again, and
        those must be refused.
        """
        node = self.claims[pick % len(self.claims)][0]
        claims = [known for known in self.claims if known[0] == node]
        self.write_ends(
            node,
            {
                number: (claim, ending)
                for (_, number, claim), ending in (
                    (claims[at % len(claims)], ending) for at, ending in ends
                )
            },
            keep,
        )

    @rule(pick=picks, cycle=st.lists(endings, min_size=1, max_size=5))
    def work(self, pick: int, cycle: list[Ending]) -> None:
        """A whole round: what is due is staged, fetched and ended, one way after the
        other.
        """
        self.time_passes(100)
        for queue in QUEUES:
            known = len(self.claims)
            self.both_are_alike_and_every_change_is_legal()
            self.fetch(queue, pick, ())
            self.both_are_alike_and_every_change_is_legal()
            fresh = self.claims[known:]
            if fresh:
                ends = {
                    number: (claim, cycle[at % len(cycle)])
                    for at, (_, number, claim) in enumerate(fresh)
                }
                self.write_ends(fresh[0][0], ends, keep=False)

    def write_ends(self, node: str, ends: dict[int, tuple[int, Ending]], keep: bool) -> None:
        async def act(side: Side) -> tuple[set[int], dict[tuple[int, int], str]]:
            acks = [
                Ack(side.ids[number], claim, **ending._asdict())
                for number, (claim, ending) in ends.items()
            ]
            acked = {
                side.number(id_)
                for id_, _ in (await side.engine.exchange(node, "default", 0, acks)).acked
            }
            left = [ack for ack in acks if side.number(ack.id) not in acked]
            ack_statuses = await side.engine.ack_statuses(node, left)
            return acked, {
                (side.number(id_), claim): ack_status.value
                for (id_, claim), ack_status in ack_statuses.items()
            }

        self.both(act)
        if not keep:
            self.claims = [
                known for known in self.claims if known[0] != node or known[1] not in ends
            ]

    @precondition(lambda self: self.nodes)
    @rule(pick=picks, limit=st.sampled_from([1, 100]))
    def die(self, pick: int, limit: int) -> None:
        node = self.nodes.pop(pick % len(self.nodes))
        self.both(lambda side: side.engine.deregister_node(node))
        self.rescue(limit)
        stale = [known for known in self.claims if known[0] == node]
        self.claims = [known for known in self.claims if known not in stale[2:]]
        self.register_node()

    @rule(pick=picks, queue=queues, times=st.integers(1, 3))
    def die_again_and_again(self, pick: int, queue: str, times: int) -> None:
        for _ in range(times):
            self.time_passes(100)
            self.both_are_alike_and_every_change_is_legal()
            self.fetch(queue, pick, ())
            self.both_are_alike_and_every_change_is_legal()
            self.die(pick, 100)
            self.both_are_alike_and_every_change_is_legal()

    @rule(limit=st.sampled_from([1, 100]))
    def rescue(self, limit: int) -> None:
        async def act(side: Side) -> set[tuple[int, str, JobState]]:
            return {
                (side.number(one.id), one.queue, one.state)
                for one in await side.engine.rescue(limit)
            }

        self.both(act)

    @precondition(lambda self: self.nodes)
    @rule(pick=picks)
    def reconcile(self, pick: int) -> None:
        node = self.nodes[pick % len(self.nodes)]
        held = [(number, claim) for owner, number, claim in self.claims[::2] if owner == node]

        async def act(side: Side) -> set[tuple[int, str, JobState]]:
            await side.raw.execute(
                f"UPDATE job SET started_at = {side.raw.moment(100)} WHERE state = 'executing'"
            )
            given_back = await side.engine.reconcile(
                node, [(side.ids[number], claim) for number, claim in held], 50
            )
            return {(side.number(job.id), job.queue, job.state) for job in given_back}

        self.both(act)

    @rule(limit=st.sampled_from([1, 100]))
    def stage(self, limit: int) -> None:
        self.both(lambda side: side.engine.stage(limit))

    # what people do

    @rule(
        new=st.lists(
            st.builds(
                lambda task, queue, priority, max_attempts, delay, hold, key, scope: NewJob(
                    task=task,
                    queue=queue,
                    priority=priority,
                    max_attempts=max_attempts,
                    delay=delay,
                    hold=hold,
                    unique_key=key,
                    unique_scope=None if key is None else scope,
                ),
                task=st.sampled_from("ab"),
                queue=queues,
                priority=st.integers(0, 2),
                max_attempts=st.integers(1, 3),
                delay=st.sampled_from([None, None, FAR]),
                hold=st.sampled_from([False, False, False, True]),
                key=st.sampled_from(KEYS),
                scope=st.integers(0, 2),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def insert(self, new: list[NewJob]) -> None:
        async def act(side: Side) -> list[tuple[int, JobState, bool]]:
            answers = await side.engine.insert(new)
            side.ids.extend(answer.id for answer in answers if not answer.conflict)
            return [(side.number(answer.id), answer.state, answer.conflict) for answer in answers]

        for _, state, conflict in self.both(act):
            if not conflict:
                self.before.append(state)

    @precondition(lambda self: self.jobs)
    @rule(
        chosen=st.sets(picks, min_size=1, max_size=4),
        verb=st.sampled_from(["cancel", "hold", "release", "retry", "kill"]),
    )
    def bulk(self, chosen: set[int], verb: str) -> None:
        self.verb(verb, {self.some(pick) for pick in chosen})

    @rule(verb=st.sampled_from(["cancel", "hold", "release", "retry", "kill"]), queue=queues)
    def bulk_of_a_queue(self, verb: str, queue: str) -> None:
        self.verb(verb, None, JobFilter(queue=(queue,)))

    def verb(self, verb: str, chosen: set[int] | None, where: JobFilter | None = None) -> None:
        async def act(side: Side) -> BulkResult | tuple[int, int]:
            covered = where or JobFilter(ids=tuple(side.ids[number] for number in chosen or ()))
            try:
                touched: BulkResult = await getattr(side.engine, verb)(covered)
            except UniqueConflict as conflict:
                return side.number(conflict.job_id), side.number(conflict.holder)
            return touched

        self.both(act)

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def stop(self, pick: int) -> None:
        number = self.some(pick)

        async def act(side: Side) -> BulkResult | None:
            try:
                return await side.engine.stop(side.ids[number])
            except InvalidTransition:
                return None

        assert (self.both(act) is not None) is (self.before[number] is JobState.EXECUTING)

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def lost_claims(self, pick: int) -> None:
        node = self.claims[pick % len(self.claims)][0]

        async def act(side: Side) -> set[tuple[int, int]]:
            held = [
                (side.ids[number], claim) for owner, number, claim in self.claims if owner == node
            ]
            return {
                (side.number(id_), claim)
                for id_, claim in await side.engine.lost_claims(node, held)
            }

        self.both(act)

    @precondition(lambda self: self.jobs)
    @rule(chosen=st.sets(picks, min_size=1, max_size=4))
    def expire(self, chosen: set[int]) -> None:
        """Some jobs were to start by now."""
        numbers = {self.some(pick) for pick in chosen}

        async def act(side: Side) -> set[tuple[int, str, bool]]:
            for number in numbers:
                await side.raw.put(side.ids[number], expires_at=Ago(1))
            return {
                (side.number(one.id), one.queue, one.awaited)
                for one in await side.engine.expire(100)
            }

        assert {number for number, *_ in self.both(act)} <= numbers

    @precondition(lambda self: self.jobs > 10)
    @rule(chosen=st.sets(picks, min_size=1, max_size=2))
    def delete(self, chosen: set[int]) -> None:
        numbers = {self.some(pick) for pick in chosen}

        async def act(side: Side) -> set[int]:
            ids = [side.ids[number] for number in numbers]
            touched = await side.engine.delete(JobFilter(ids=tuple(ids)))
            gone = {side.number(id_) for id_ in ids if await side.engine.get(id_) is None}
            assert touched.changed == len(gone)
            return gone

        gone = self.both(act)
        for side in self.sides:
            side.ids[:] = [id_ for number, id_ in enumerate(side.ids) if number not in gone]
        kept = [number for number in range(len(self.before)) if number not in gone]
        self.before = [self.before[number] for number in kept]
        self.claims = [
            (node, kept.index(number), claim)
            for node, number, claim in self.claims
            if number not in gone
        ]

    @precondition(lambda self: self.jobs)
    @rule(
        pick=picks,
        queue=queues,
        priority=st.integers(0, 2),
        ahead=st.sampled_from([None, -FAR, FAR]),
    )
    def update(self, pick: int, queue: str, priority: int, ahead: float | None) -> None:
        number = self.some(pick)
        run_at = None if ahead is None else datetime.now(UTC) + timedelta(seconds=ahead)

        async def act(side: Side) -> tuple[JobState, datetime | None, BulkResult] | None:
            try:
                job, touched = await side.engine.update(
                    side.ids[number], JobChanges(queue=queue, priority=priority, run_at=run_at)
                )
            except InvalidTransition:
                return None
            return job.state, run_at and job.scheduled_at, touched

        self.both(act)

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def position(self, pick: int) -> None:
        """Only whether there is one, for the same reason."""
        number = self.some(pick)

        async def act(side: Side) -> bool:
            return await side.engine.position(side.ids[number]) is not None

        assert self.both(act) is (self.before[number] is JobState.AVAILABLE)

    @rule(limit=st.sampled_from([1, 100]))
    def time_passes(self, limit: int) -> None:
        async def act(side: Side) -> None:
            for id_ in side.ids:
                await side.raw.put(id_, scheduled_at=Ago(FAR - side.number(id_) / 1_000))

        self.both(act)
        self.stage(limit)

    # what always holds

    @invariant()
    def both_are_alike_and_every_change_is_legal(self) -> None:
        looks = self.both(look)
        for number, (was, now) in enumerate(zip(self.before, looks, strict=True)):
            assert now.state is was or now.state in TRANSITIONS[was], (
                f"job {number} went from {was} to {now.state}"
            )
            assert now.finished is (now.state in FINISHED)
            assert len({claim for claim, *_ in now.runs}) == len(now.runs) <= now.claim
            assert sum(result is None for *_, result in now.runs) == (
                now.state is JobState.EXECUTING
            )
        self.before = [now.state for now in looks]
        expected: dict[str, Counter[str]] = {}
        for now in looks:
            expected.setdefault(now.queue, Counter())[now.state.value] += 1
        assert self.both(lambda side: side.engine.counts()) == expected


def place(claim: ClaimedJob) -> tuple[int, datetime, int]:
    return claim.priority, claim.scheduled_at, claim.id


async def look(side: Side) -> list[Look]:
    found = {job.id: job for job in await side.engine.find(JobFilter(), None, 10_000)}
    assert set(found) == set(side.ids)
    rows = {
        id_: rest
        for id_, *rest in await side.raw.execute("SELECT id, claim, orphans, intent FROM job")
    }
    looks = []
    for id_ in side.ids:
        job, (claim, orphans, intent) = found[id_], rows[id_]
        runs = tuple(
            (run.claim, run.attempt, run.outcome and run.outcome.value)
            for run in await side.engine.runs(id_)
        )
        looks.append(
            Look(
                job.state, job.queue, job.priority, job.attempt, job.max_attempts, claim, orphans, intent, job.reason, job.result,
                job.started_at is not None, job.finished_at is not None, runs,
            )
        )  # fmt: skip
    return looks


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.timeout(180)
def test_the_engines_agree(
    runner: asyncio.Runner, tmp_path: Path, shared_postgres_url: str, schema: str
) -> None:
    stack = AsyncExitStack()

    async def side(url: str) -> Side:
        engine = engine_for(Config(database_url=url, schema=schema, synchronous="normal"), Bus())
        stack.push_async_callback(engine.close)
        await engine.open()
        await engine.migrate()
        raw = await raw_for(url, schema).open()
        stack.push_async_callback(raw.close)
        return Side(engine, raw, [])

    try:
        Engines.runner = runner
        Engines.sides = (
            runner.run(side(f"sqlite:///{tmp_path / 'elihu.db'}")),
            runner.run(side(shared_postgres_url)),
        )
        run_state_machine_as_test(
            Engines,
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(stack.aclose())
