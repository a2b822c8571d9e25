"""Short words for what the tests of the engines say often."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from elihu.engines.protocol import Ack, ClaimedJob, Engine, Exchange
from elihu.job import Job, JobFilter, JobState, NewJob, RunOutcome

ANY = JobFilter()


def new(task: str = "t", **fields: Any) -> NewJob:
    return NewJob(task=task, **fields)


async def put(engine: Engine, *jobs: NewJob) -> list[int]:
    """Insert, and return the ids."""
    return [inserted.id for inserted in await engine.insert(jobs or [new()])]


async def node(engine: Engine, name: str = "here") -> str:
    """A new node's id."""
    id_ = str(uuid4())
    await engine.register_node(id_, name, {})
    return id_


async def fetch(
    engine: Engine, node: str, free: int = 100, queue: str = "default"
) -> list[ClaimedJob]:
    return (await engine.exchange(node, queue, free, [])).claims


async def acknowledge(engine: Engine, node: str, *acks: Ack) -> Exchange:
    """Acknowledge without a fetch."""
    return await engine.exchange(node, "default", 0, acks)


def completed(claim: ClaimedJob, **fields: Any) -> Ack:
    return Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED, **fields)


def failed(claim: ClaimedJob, **fields: Any) -> Ack:
    return Ack(
        claim.id, claim.claim, RunOutcome.FAILED, JobState.RETRYABLE, delay=60.0, error="boom"
    )._replace(**fields)


def discarded(claim: ClaimedJob, **fields: Any) -> Ack:
    return Ack(claim.id, claim.claim, RunOutcome.FAILED, JobState.DISCARDED, error="boom")._replace(
        **fields
    )


def released(claim: ClaimedJob, **fields: Any) -> Ack:
    return Ack(
        claim.id, claim.claim, RunOutcome.RETURNED, JobState.AVAILABLE, refund_attempt=1
    )._replace(**fields)


def snoozed(claim: ClaimedJob, delay: float = 60.0) -> Ack:
    return Ack(
        claim.id, claim.claim, RunOutcome.SNOOZED, JobState.SCHEDULED, delay=delay, refund_attempt=1
    )


def cancelled(claim: ClaimedJob, reason: str | None = None) -> Ack:
    return Ack(claim.id, claim.claim, RunOutcome.CANCELLED, JobState.CANCELLED, reason=reason)


async def job(engine: Engine, job_id: int) -> Job:
    found = await engine.get(job_id)
    assert found is not None
    return found


async def states(engine: Engine, ids: Sequence[int]) -> list[str]:
    return [(await job(engine, id_)).state.value for id_ in ids]


async def results(engine: Engine, job_id: int) -> list[str | None]:
    """How the attempts of a job ended, by claim."""
    return [None if run.outcome is None else run.outcome.value for run in await engine.runs(job_id)]


async def in_state(engine: Engine, state: JobState, **fields: Any) -> int:
    """A job brought to ``state`` by the ways a job goes."""
    queue = f"way-to-{state}"
    (id_,) = await put(
        engine,
        new(
            queue=queue,
            **fields,
            hold=state is JobState.SUSPENDED,
            delay=3600 if state is JobState.SCHEDULED else None,
        ),
    )
    if state in {JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE}:
        return id_
    here = await node(engine)
    (claim,) = await fetch(engine, here, queue=queue)
    match state:
        case JobState.RETRYABLE:
            await acknowledge(engine, here, failed(claim, delay=3600.0))
        case JobState.COMPLETED:
            await acknowledge(engine, here, completed(claim))
        case JobState.DISCARDED:
            await acknowledge(engine, here, discarded(claim))
        case JobState.CANCELLED:
            await acknowledge(engine, here, cancelled(claim))
    return id_


def only(*ids: int) -> JobFilter:
    return JobFilter(ids=ids)
