"""Waiting: from the call of `asubmit` to the task's value in the caller, one job at a
time. It is compared with our own `latency`.
"""

import time

from bench import latency
from bench.subject import Case, Figures, Subject
from bench.tables import Tables


async def ours(tables: Tables, case: Case) -> Figures:
    """Submit, and wait for the end."""
    async with latency.node_of(case)(tables) as node:

        async def send() -> float:
            sent = time.monotonic()
            await (await node.note.asubmit(sent)).aresult(30)
            seconds = time.monotonic() - sent
            await node.started()
            return seconds

        return await latency.sample(send, case.jobs)


SUBJECT = Subject("relay", latency.cases, ours, latency.ours, beside="latency")
"""The caller waits for a start, an end and a read of the result."""
