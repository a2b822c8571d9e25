"""What people read: views of jobs, bounded counts, failures and durations."""

from dataclasses import fields, replace
from typing import Any

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.protocol.reads import VIEWS
from elihu.job import JobFilter, JobState, JobSummary
from tests.engines.builders import (
    ANY,
    acknowledge,
    cancelled,
    completed,
    discarded,
    failed,
    fetch,
    new,
    node,
    put,
)
from tests.engines.raw import Ago, Raw


async def shown(
    engine: Engine, view: str, where: JobFilter = ANY, limit: int = 2
) -> list[JobSummary]:
    """All pages of a view."""
    found: list[JobSummary] = []
    after = None
    while True:
        page = await engine.summaries(view, where, after, limit)
        assert len(page.items) <= limit
        found += page.items
        if (after := page.next) is None:
            return found


async def ids(engine: Engine, view: str, where: JobFilter = ANY, limit: int = 2) -> list[int]:
    return [job.id for job in await shown(engine, view, where, limit)]


async def test_a_summary_has_no_arguments_result_or_meta(engine: Engine) -> None:
    await put(engine, new(args='{"secret": 1}', meta='{"a": 1}', tags=("red",)))
    (job,) = await shown(engine, "newest")
    assert (job.state, job.tags, job.task) == (JobState.AVAILABLE, ("red",), "t")
    assert not {"args", "result", "meta"} & {each.name for each in fields(job)}


async def test_each_view_pages_through_its_jobs_once(engine: Engine) -> None:
    here = await node(engine)
    everything = await put(
        engine,
        *(new(priority=number % 2, queue=f"q{number % 3}") for number in range(7)),
        *(new(delay=60 + number) for number in range(5)),
        *(new(hold=True) for _ in range(3)),
        *(new("done", queue="done") for _ in range(12)),
    )
    claims = await fetch(engine, here, 11, "done")
    await acknowledge(engine, here, *(completed(claim) for claim in claims[:3]))
    await acknowledge(engine, here, *(discarded(claim) for claim in claims[3:6]))
    await acknowledge(engine, here, *(cancelled(claim) for claim in claims[6:8]))
    await acknowledge(engine, here, failed(claims[8]))
    assert await ids(engine, "newest") == everything[::-1]
    assert await ids(engine, "suspended") == everything[12:15][::-1]
    assert sorted(await ids(engine, "available")) == sorted([*everything[:7], everything[-1]])
    assert await ids(engine, "executing") == [claims[10].id, claims[9].id]
    done = JobFilter(state=(JobState.COMPLETED,))
    assert set(await ids(engine, "completed", done)) == {claim.id for claim in claims[:3]}
    assert set(await ids(engine, "discarded")) == {claim.id for claim in claims[3:6]}
    assert set(await ids(engine, "cancelled")) == {claim.id for claim in claims[6:8]}
    due = await shown(engine, "scheduled")
    assert [job.scheduled_at for job in due] == sorted(job.scheduled_at for job in due)
    assert len(due) == 6
    retryable = JobFilter(state=(JobState.RETRYABLE,))
    assert await ids(engine, "scheduled", retryable) == [claims[8].id]


async def test_the_available_jobs_come_in_the_order_of_fetch(engine: Engine) -> None:
    low, high, other = await put(engine, new(priority=9), new(priority=1), new(queue="z"))
    assert await ids(engine, "available", limit=1) == [high, low, other]
    mail = JobFilter(queue=("z",))
    assert await ids(engine, "available", mail) == [other]


async def test_a_filter_of_a_view(engine: Engine) -> None:
    here = await node(engine)
    a, b = await put(engine, new("x", tags=("red",)), new("y", template="kind"))
    await fetch(engine, here, 1)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"task": ("x",)}, [a]),
        ({"tags": ("red", "blue")}, [a]),
        ({"template": ("kind",)}, [b]),
        ({"node": (here,)}, [a]),
        ({"queue": ("other",)}, []),
        ({"task": ()}, []),
        ({"state": (JobState.EXECUTING, JobState.AVAILABLE)}, [b, a]),
    ]
    for fields_, expected in cases:
        assert await ids(engine, "newest", replace(ANY, **fields_)) == expected, fields_


async def test_a_page_reads_a_bounded_number_of_jobs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elihu.engines.summaries.SCANNED", 4)
    (first, *_) = await put(engine, new("rare"), *(new() for _ in range(9)))
    rare = JobFilter(task=("rare",))
    page = await engine.summaries("newest", rare, None, 5)
    assert page.items == []
    assert page.next is not None
    assert await ids(engine, "newest", rare, 5) == [first]


async def test_completed_jobs_are_in_two_views(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    await put(engine, new(), new())
    claims = await fetch(engine, here)
    await acknowledge(engine, here, *(completed(claim) for claim in claims))
    await raw.put(claims[0].id, prune_at=None)
    assert await ids(engine, "completed") == [claims[1].id]
    assert await ids(engine, "reviewed") == [claims[0].id]
    assert (await engine.state_counts(10))["completed"] == 2


async def test_counts_end_at_their_bound(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, *(new() for _ in range(6)), new(delay=60), new(hold=True))
    claims = await fetch(engine, here, 2)
    await acknowledge(engine, here, completed(claims[0]))
    assert {state: n for state, n in (await engine.state_counts(10)).items() if n} == {
        "available": 4,
        "executing": 1,
        "scheduled": 1,
        "suspended": 1,
        "completed": 1,
    }
    assert (await engine.state_counts(2))["available"] == 3


async def test_the_loads_of_queues_are_bounded_and_name_the_longest_wait(
    engine: Engine, raw: Raw
) -> None:
    a, *_ = await put(engine, new(priority=5), new(), new(), new(queue="mail"))
    await raw.put(a, scheduled_at=Ago(100))
    loads = {load.queue: load for load in await engine.queue_loads(2)}
    assert (loads["default"].jobs, loads["mail"].jobs) == (2, 1)
    assert loads["default"].longest_wait == pytest.approx(100, abs=30)
    assert (loads["mail"].longest_wait or 0) < 30


async def test_failures_are_those_of_discarded_and_retryable_jobs(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, *(new() for _ in range(3)))
    claims = await fetch(engine, here)
    await acknowledge(engine, here, discarded(claims[0], error_type="builtins:ValueError"))
    await acknowledge(engine, here, failed(claims[1]))
    await acknowledge(engine, here, completed(claims[2]))
    found = {failure.id: failure for failure in await engine.failures(10)}
    assert set(found) == {claims[0].id, claims[1].id}
    assert found[claims[0].id].error_type == "builtins:ValueError"
    assert found[claims[1].id].error == "boom"
    assert len(await engine.failures(1)) == 1


async def test_durations_are_those_of_completed_attempts(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    await put(engine, new(), new(), new("other"))
    claims = await fetch(engine, here)
    await acknowledge(engine, here, *(completed(claim) for claim in claims))
    await raw.put(claims[0].id, started_at=Ago(50), finished_at=Ago(40))
    found = await engine.durations("t", 5)
    assert len(found) == 2
    assert max(found) == pytest.approx(10, abs=1)


async def test_views_are_ordered_by_a_unique_place() -> None:
    assert {view.order[-1] for view in VIEWS.values()} == {"id"}
