"""Each statement that ends an attempt does what the table of endings says, for every
end, with and without attempts left and a request to cancel.
"""

import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from elihu.endings import (
    EXPIRED_REASON,
    Delay,
    End,
    Next,
    Orphans,
    after,
    after_orphaning,
)
from elihu.engines.protocol import Ack, ClaimedJob, Engine
from elihu.job import FINISHED, TRANSITIONS, JobState
from tests.engines.builders import acknowledge, fetch, job, new, node, only, put
from tests.engines.raw import Ago, Raw

WAIT = 600.0
ORPHANS_BEFORE = 2
ACKNOWLEDGED = [end for end in End if end not in {End.ORPHANED, End.STOPPED, End.UNFETCHED}]
BOTH = (False, True)
FLAGS: dict[str | None, dict[str, object]] = {
    None: {},
    "pending": {"on_error": True},
    "due": {"on_error": True, "on_error_due": "why"},
}


class Look(NamedTuple):
    """A job after the end of its attempt."""

    state: JobState
    attempt: int
    orphans: int
    finished: bool
    outcome: str | None


async def begun(
    engine: Engine, raw: Raw, here: str, queue: str, *, max_attempts: int, **columns: Any
) -> ClaimedJob:
    """A job whose first attempt runs on ``here``, with these columns set."""
    await put(engine, new(queue=queue, max_attempts=max_attempts))
    (claim,) = await fetch(engine, here, queue=queue)
    if columns:
        await raw.put(claim.id, **columns)
    return claim


async def attempts(
    engine: Engine, raw: Raw, here: str, **columns: Any
) -> AsyncIterator[tuple[ClaimedJob, bool, bool]]:
    """Running attempts: each with whether attempts are left, and whether its job is to be
    cancelled.
    """
    for number, (attempts_left, cancel) in enumerate(itertools.product(BOTH, BOTH)):
        claim = await begun(
            engine,
            raw,
            here,
            f"q{number}",
            max_attempts=2 if attempts_left else 1,
            intent="cancel" if cancel else None,
            orphans=ORPHANS_BEFORE,
            **columns,
        )
        yield claim, attempts_left, cancel


def ack_of(claim: ClaimedJob, end: End, *, attempts_left: bool) -> Ack:
    """What a node sends that knows of no request to cancel."""
    following = after(end, attempts_left=attempts_left)
    return Ack(
        claim.id,
        claim.claim,
        following.outcome,
        following.state,
        delay=None if following.delay is Delay.UNCHANGED else WAIT,
        refund_attempt=0 if following.counted else 1,
        reason="its own reason",
    )


async def check(
    engine: Engine, raw: Raw, claim: ClaimedJob, following: Next, orphans: int = ORPHANS_BEFORE
) -> None:
    """Compare the stored job and its last run with the table."""
    stored = await job(engine, claim.id)
    (after_it,) = await raw.look(claim.id, "orphans")
    runs = await engine.runs(claim.id)
    last = next(run for run in runs if run.claim == claim.claim)
    assert Look(
        stored.state,
        stored.attempt,
        after_it,
        stored.finished_at is not None,
        None if last.outcome is None else last.outcome.value,
    ) == Look(
        following.state,
        claim.attempt if following.counted else claim.attempt - 1,
        {Orphans.RESET: 0, Orphans.KEPT: orphans, Orphans.RAISED: orphans + 1}[following.orphans],
        following.finished,
        following.outcome.value,
    )
    if following.reason is not None:
        assert stored.reason == following.reason
    wait = (stored.scheduled_at - claim.scheduled_at).total_seconds()
    match following.delay:
        case Delay.UNCHANGED:
            assert wait == 0
        case Delay.ORPHAN:
            assert 17 <= stored.scheduled_at.timestamp() - time.time() + 1 <= 36
        case Delay.BACKOFF | Delay.GIVEN:
            assert wait >= WAIT


@pytest.mark.parametrize("end", ACKNOWLEDGED)
async def test_an_acknowledged_end(engine: Engine, raw: Raw, end: End) -> None:
    here = await node(engine)
    async for claim, attempts_left, cancel in attempts(engine, raw, here):
        await acknowledge(engine, here, ack_of(claim, end, attempts_left=attempts_left))
        await check(engine, raw, claim, after(end, attempts_left=attempts_left, cancel=cancel))


async def test_a_stopped_attempt(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    async for claim, attempts_left, cancel in attempts(engine, raw, here):
        changed = await engine.stop(claim.id)
        following = after(End.STOPPED, attempts_left=attempts_left, cancel=cancel)
        await check(engine, raw, claim, following)
        assert bool(changed.queues) == following.announced


async def test_an_attempt_whose_fetch_was_lost(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    async for claim, attempts_left, cancel in attempts(engine, raw, here, started_at=Ago(60)):
        (given_back,) = await engine.reconcile(here, [], 20.0)
        following = after(End.UNFETCHED, attempts_left=attempts_left, cancel=cancel)
        assert (given_back.id, given_back.state) == (claim.id, following.state)
        await check(engine, raw, claim, following)


@pytest.mark.parametrize("orphans", [0, 1, 2, 3])
async def test_an_orphaned_attempt(engine: Engine, raw: Raw, orphans: int) -> None:
    for number, (attempts_left, intent, on_error, max_orphans) in enumerate(
        itertools.product(BOTH, (None, "cancel", "kill"), (None, "pending", "due"), (1, 3))
    ):
        gone = await node(engine, "gone")
        claim = await begun(
            engine,
            raw,
            gone,
            f"q{number}",
            max_attempts=2 if attempts_left else 1,
            intent=intent,
            orphans=orphans,
            options=json.dumps({"max_orphans": max_orphans} | FLAGS[on_error]),
        )
        await engine.deregister_node(gone)
        (rescued,) = await engine.rescue(10)
        following = after_orphaning(
            attempts_left=attempts_left,
            orphans=orphans,
            max_orphans=max_orphans,
            cancel=intent == "cancel",
            on_error_pending=on_error == "pending",
        )
        assert (rescued.id, rescued.state) == (claim.id, following.state)
        await check(engine, raw, claim, following, orphans)


async def test_an_attempt_that_was_rolled_back_with_its_node_does_not_count(
    engine: Engine, raw: Raw
) -> None:
    gone = await node(engine, "gone")
    claim = await begun(engine, raw, gone, "q", max_attempts=1, options='{"transactional": true}')
    await engine.deregister_node(gone)
    (rescued,) = await engine.rescue(10)
    following = after_orphaning(attempts_left=True, orphans=0)
    await check(engine, raw, claim, following._replace(counted=False), 0)
    assert rescued.state is following.state


async def test_an_expired_job(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(queue="q"))
    await raw.put(id_, expires_at=Ago(1))
    (expired,) = await engine.expire(10)
    stored = await job(engine, id_)
    assert (expired.id, stored.state, stored.reason) == (id_, JobState.CANCELLED, EXPIRED_REASON)
    assert await engine.runs(id_) == []


@pytest.mark.parametrize("end", ACKNOWLEDGED)
def test_every_end_is_a_legal_transition(end: End) -> None:
    for attempts_left, cancel in itertools.product(BOTH, BOTH):
        following = after(end, attempts_left=attempts_left, cancel=cancel)
        assert following.state in TRANSITIONS[JobState.EXECUTING]
        assert following.finished == (following.state in FINISHED)
        assert not (cancel and not following.finished)


async def test_a_request_to_cancel_one_job_leaves_its_neighbours(engine: Engine, raw: Raw) -> None:
    """Ends of one batch are decided row by row."""
    here = await node(engine)
    await put(engine, *(new(queue="q", max_attempts=2) for _ in ACKNOWLEDGED for _ in BOTH))
    claims = await fetch(engine, here, queue="q")
    cases = list(zip(claims, itertools.product(ACKNOWLEDGED, BOTH), strict=True))
    await engine.cancel(only(*(claim.id for claim, (_, cancel) in cases if cancel)))
    await acknowledge(engine, here, *(ack_of(c, end, attempts_left=True) for c, (end, _) in cases))
    for claim, (end, cancel) in cases:
        following = after(end, attempts_left=True, cancel=cancel)
        assert (await job(engine, claim.id)).state is following.state, (end, cancel)
