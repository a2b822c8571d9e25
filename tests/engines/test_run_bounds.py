"""The runs of one job are bounded, and an old run gives way to a new one."""

from typing import Any

import pytest

from elihu.engines.protocol import Ack, Engine
from elihu.job import JobState, RunOutcome
from tests.engines.builders import fetch, new, node, put
from tests.engines.raw import Raw

KEPT = 100


async def attempts(engine: Engine, here: str, *outcomes: RunOutcome) -> None:
    """Attempts of one job that end so, each of which makes it available again."""
    acks: list[Ack] = []
    for outcome in outcomes:
        answer = await engine.exchange(here, "default", 1, acks)
        claims = answer.claims or (await engine.exchange(here, "default", 1, [])).claims
        (claim,) = claims
        acks = [Ack(claim.id, claim.claim, outcome, JobState.AVAILABLE, refund_attempt=1)]
    await engine.exchange(here, "default", 0, acks)


async def claims_of(engine: Engine, id_: int) -> list[int]:
    return [run.claim for run in await engine.runs(id_)]


@pytest.mark.parametrize("outcome", [RunOutcome.SNOOZED, RunOutcome.RETURNED])
async def test_of_consecutive_ones_the_last_hundred_stay(
    engine: Engine, outcome: RunOutcome
) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new())
    await attempts(engine, here, *[outcome] * (KEPT + 12))
    assert await claims_of(engine, id_) == list(range(13, KEPT + 13))


async def test_other_runs_stay_and_part_the_sequences(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new())
    snoozed, failed = RunOutcome.SNOOZED, RunOutcome.FAILED
    await attempts(engine, here, failed, *[snoozed] * 60, failed, *[snoozed] * (KEPT + 5))
    assert await claims_of(engine, id_) == [*range(1, 63), *range(68, 63 + KEPT + 5)]


async def test_many_old_runs_go_in_pieces(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new())
    await attempts(engine, here, RunOutcome.SNOOZED)
    numbers = (
        "generate_series(2, 2500) AS g(n)"
        if engine.name == "postgres"
        else "(WITH RECURSIVE g(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM g WHERE n < 2500) "
        "SELECT n FROM g)"
    )
    await raw.execute(
        "INSERT INTO run (job_id, claim, attempt, started_at, ended_at, outcome) "
        f"SELECT job_id, n, attempt, started_at, ended_at, outcome FROM run, {numbers}"
    )
    await raw.put(id_, claim=2_500)
    left = []
    for _ in range(3):
        await attempts(engine, here, RunOutcome.SNOOZED)
        left.append(await raw.number("SELECT count(*) FROM run"))
    assert left == [1_501, 502, KEPT]
    assert (await claims_of(engine, id_))[-1] == 2_503


@pytest.mark.parametrize("outcome", [RunOutcome.FAILED, RunOutcome.COMPLETED])
async def test_a_run_of_an_earlier_job_with_this_id_gives_way(
    engine: Engine, raw: Raw, outcome: RunOutcome
) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new())
    await raw.execute(
        "INSERT INTO run (job_id, claim, attempt, started_at, ended_at, outcome, error) VALUES "
        f"(%s, 1, 7, {raw.moment(9)}, {raw.moment(8)}, 'killed', 'of an earlier job')",
        id_,
    )
    (claim,) = await fetch(engine, here)
    state = JobState.DISCARDED if outcome is RunOutcome.FAILED else JobState.COMPLETED
    values: dict[str, Any] = {"error": "mine", "log": "a line"}
    answer = await engine.exchange(
        here, "default", 0, [Ack(id_, claim.claim, outcome, state, **values)]
    )
    assert answer.acked == [(id_, False)]
    (run,) = await engine.runs(id_)
    assert (run.attempt, run.outcome, run.error, run.log) == (1, outcome, "mine", "a line")
