"""Random changes of records between the scan and the run, against a model."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from elihu import Elihu, JobState
from tests.support import QUICK
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared

CHANGES = ("nothing", "process", "delete", "note", "replace")
RUNS = 8


@dataclass
class Expected:
    """What a record is to be: its state of a job, and how often it was acted on."""

    state: JobState
    acts: int | None


def expected_of(change: str, fails: bool) -> Expected:
    match change:
        case "process":
            return Expected(JobState.CANCELLED, 0)
        case "delete":
            return Expected(JobState.CANCELLED, None)
        case _ if fails:
            return Expected(JobState.DISCARDED, 0)
        case _:
            return Expected(JobState.COMPLETED, 1)


def apply(session: Any, *, change: str, key: int, fails: bool) -> None:
    record = session.get_one(Invoice, key)
    match change:
        case "process":
            record.processed = True
        case "delete":
            session.delete(record)
        case "note":
            record.note += "changed"
        case "replace":  # another record with the same key
            session.delete(record)
            session.flush()
            session.add(Invoice(id=key, note="new", due=-1 if fails else None))


@pytest.fixture
async def running(database_url: str, store: Store) -> AsyncIterator[Elihu]:
    """An app with a trigger that fails for invoices that are due at -1."""
    async with Elihu(
        database_url,
        sessions=store.sessions,
        queues={"triggers": 3},
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
    ) as app:
        await app.migrate()
        yield app


async def test_each_record_is_as_the_model_says(running: Elihu, store: Store) -> None:
    def work(invoice: Invoice, session: Any, ctx: Any) -> None:
        act(invoice, session, ctx)
        if invoice.due == -1:
            raise ValueError("fails")

    trigger = declared(running, store, work)
    loop = asyncio.get_running_loop()

    async def check(changes: list[tuple[str, bool]]) -> None:
        store.change(lambda session: session.execute(delete(Invoice)))
        records = store.add(*(Invoice(due=-1 if fails else None) for _, fails in changes))
        keys = [record.id for record in records]
        assert (await trigger.scan()).enqueued == len(keys)
        for key, (change, fails) in zip(keys, changes, strict=True):
            store.change(partial(apply, change=change, key=key, fails=fails))
        again = await trigger.scan()
        matching = sum(change not in {"process", "delete"} for change, _ in changes)
        assert (again.matched, again.enqueued, again.conflicts) == (matching, 0, matching)
        async with running.running() as node:
            for producer in node.producers:
                await producer.wait_idle()
        jobs = (await running.jobs.list(task="process", limit=100)).items
        states = {job.args["key"][0]: job.state for job in jobs}
        found = {each.id: each.acts for each in store.all(select(Invoice))}
        for key, (change, fails) in zip(keys, changes, strict=True):
            expected = expected_of(change, fails)
            assert (states[key], found.get(key)) == (expected.state, expected.acts)
        await running.jobs.delete(task="process")

    @settings(
        max_examples=RUNS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(
        st.lists(st.tuples(st.sampled_from(CHANGES), st.booleans()), min_size=1, max_size=8),
    )
    def example(changes: list[tuple[str, bool]]) -> None:
        asyncio.run_coroutine_threadsafe(check(changes), loop).result(60)

    await asyncio.to_thread(example)
