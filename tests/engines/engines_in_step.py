"""A state machine that does one thing to both engines and compares what they answer."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from elihu.engines.protocol import Ack, BulkResult, ClaimedJob, Engine
from elihu.errors import UniqueConflict
from elihu.job import FINISHED, TRANSITIONS, JobFilter, JobState, NewJob, RunOutcome
from tests.engines.raw import Ago, Raw

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


class EnginesInStep(RuleBasedStateMachine):
    """Each rule does one thing to both engines and compares their answers; the invariant
    compares all jobs.
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
        assert self.jobs == 10
        assert len(self.claims) == 6

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

    # what the rules are made of

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

    def verb(self, verb: str, chosen: set[int] | None, where: JobFilter | None = None) -> None:
        async def act(side: Side) -> BulkResult | tuple[int, int]:
            covered = where or JobFilter(ids=tuple(side.ids[number] for number in chosen or ()))
            try:
                touched: BulkResult = await getattr(side.engine, verb)(covered)
            except UniqueConflict as conflict:
                return side.number(conflict.job_id), side.number(conflict.holder)
            return touched

        self.both(act)

    @rule(limit=st.sampled_from([1, 100]))
    def time_passes(self, limit: int) -> None:
        async def act(side: Side) -> None:
            for id_ in side.ids:
                await side.raw.put(id_, scheduled_at=Ago(FAR - side.number(id_) / 1_000))

        self.both(act)
        self.stage(limit)

    @rule(limit=st.sampled_from([1, 100]))
    def stage(self, limit: int) -> None:
        self.both(lambda side: side.engine.stage(limit))

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
    found = {job.id: job for job in (await side.engine.find(JobFilter(), None, 10_000)).items}
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
                job.state, job.queue, job.priority, job.attempt, job.max_attempts,
                claim, orphans, intent, job.reason, job.result,
                job.started_at is not None, job.finished_at is not None, runs,
            )
        )  # fmt: skip
    return looks
