"""What an idle node asks of the database, by heartbeats."""

from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from elihu import Elihu
from elihu.telemetry.events import EngineCalled, LeaderElected
from tests.support import BUSY_MACHINE, QUICK, EventRecorder

BEATS: Final = 5
"""Heartbeats that are measured."""
SETTLED: Final = 3
"""Heartbeats before that, in which what a start asks for has come."""
IDLE: Final[dict[str, Any]] = QUICK | BUSY_MACHINE | {"heartbeat": 0.5, "poll": 0.5}
MOST_OTHERS: Final = BEATS - 2
"""Fewer than one a heartbeat: on a busy machine one that comes late has others asked."""
AT_ANY_TIME: Final = {"stage", "expire"}
"""Calls of the leader that do not come by heartbeats."""


async def calls_of(events: EventRecorder) -> Counter[str]:
    """The calls of this node in as many heartbeats."""
    first = events.calls("heartbeat") + SETTLED
    await events.until(lambda: events.calls("heartbeat") >= first + BEATS)
    counts: Counter[str] = Counter()
    beats = 0
    for event in events.of(EngineCalled):
        beats += event.verb == "heartbeat"
        if first < beats <= first + BEATS:
            counts[event.verb] += 1
    return counts


@pytest.fixture
async def nodes(database_url: str, tables: None, schema: str) -> Any:
    """The events of a node that leads, and of another one."""
    async with AsyncExitStack() as stack:
        recorders = []
        for _ in range(2):
            app = Elihu(database_url, schema=schema, **IDLE)
            app.task(name="t")(task)
            recorders.append(EventRecorder(app))
            await stack.enter_async_context(app.running())
            await recorders[0].count(LeaderElected, 1)
        yield recorders


async def task() -> None: ...


async def test_a_leader_asks_by_its_heartbeats_alone(nodes: list[EventRecorder]) -> None:
    counts = await calls_of(nodes[0])
    for verb in AT_ANY_TIME:
        counts.pop(verb, None)
    assert counts.pop("heartbeat") == BEATS
    assert counts.pop("notify", 0) <= BEATS + 2, "a test every 0.95 heartbeats"
    assert counts.total() <= MOST_OTHERS, f"leadership, cron entries, queues and polls: {counts}"


async def test_a_heartbeat_tells_a_node_how_many_others_there_are(
    database_url: str, tables: None, schema: str
) -> None:
    """A node beside many others sends one exchange at a time."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            app = Elihu(database_url, schema=schema, **IDLE)
            app.task(name="t")(task)
            events = EventRecorder(app)
            found.append((await stack.enter_async_context(app.running()), events))
        node, events = found[0]
        await events.until(lambda: node.scope.identity.others == 1)


async def test_another_node_asks_for_jobs_too(nodes: list[EventRecorder]) -> None:
    counts = await calls_of(nodes[1])
    assert counts.pop("heartbeat") == BEATS
    assert counts.pop("exchange") <= BEATS + 2
    assert counts.pop("notify", 0) <= BEATS + 2
    tries = counts.pop("lead", 0)
    assert tries <= (BEATS if nodes[1].of(EngineCalled)[0].engine == "sqlite" else 0), (
        "a lease says when it ends"
    )
    assert counts.total() <= MOST_OTHERS, f"leadership, cron entries and queues: {counts}"
