"""Both engines in step: whatever is done to jobs, in whatever order, they answer alike,
and every change of state is a legal one.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from elihu.config import Config
from elihu.engines.protocol import BulkResult
from elihu.engines.select import engine_for
from elihu.errors import InvalidTransition
from elihu.job import JobChanges, JobFilter, JobState
from elihu.telemetry.bus import Bus
from tests.engines.engines_in_step import (
    FAR,
    QUEUES,
    Ending,
    EnginesInStep,
    Side,
    endings,
    picks,
    queues,
)
from tests.engines.raw import Ago, raw_for


class Engines(EnginesInStep):
    # what nodes do

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

    @precondition(lambda self: self.nodes)
    @rule(pick=picks)
    def die(self, pick: int) -> None:
        node = self.nodes.pop(pick % len(self.nodes))
        self.both(lambda side: side.engine.deregister_node(node))
        self.rescue()
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
            self.die(pick)
            self.both_are_alike_and_every_change_is_legal()

    @rule()
    def rescue(self) -> None:
        """All there are: of several dead nodes, ids that are random decide who is first."""

        async def act(side: Side) -> set[tuple[int, str, JobState]]:
            return {
                (side.number(one.id), one.queue, one.state) for one in await side.engine.rescue(100)
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

    # what people do

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


EXAMPLES = 25 if os.environ.get("ELIHU_TEST_MORE") else 10
PHASES = (Phase.generate,)
"""Not to shrink: that takes longer than the test may, and a race does not fail again. Nor to
explain, which traces each line.
"""
BOUND = 600
"""Seconds, far beyond what the test takes: its time limit is an error raised in the middle
of a call of a driver, and hypothesis would go on with the same connection.
"""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.timeout(BOUND)
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
                max_examples=EXAMPLES,
                stateful_step_count=40,
                phases=PHASES,
                print_blob=True,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(stack.aclose())
