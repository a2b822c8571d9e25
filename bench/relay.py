"""Waiting: from the call of `asubmit` to the task's value in the caller, one job at a
time. Beside it, our own `latency`.
"""

import time

from bench import latency
from bench.arena import Arena
from bench.subject import Case, Figures, Subject


async def ours(arena: Arena, case: Case) -> Figures:
    """Submit, and wait for the end."""
    async with latency.node_of(case)(arena) as node:

        async def send() -> float:
            sent = time.monotonic()
            await (await node.note.asubmit(sent)).aresult(30)
            seconds = time.monotonic() - sent
            await node.started()
            return seconds

        return await latency.sample(send, case.jobs)


SUBJECT = Subject("relay", latency.cases, ours, latency.ours, beside="latency")
"""What the caller waits for is a start, an end and a look at the result."""
