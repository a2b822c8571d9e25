"""Many nodes that share a queue."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bench.compare.contestants import ELIHU
from bench.compare.measure import all_started
from bench.compare.processes import Side
from bench.compare.programs.elihu import note_task
from bench.compare.programs.own_tables import install, tables_of
from bench.compare.programs.protocol import new_tally
from bench.compare.servers import Server
from bench.growth.beside import beside
from bench.growth.subject import SLOTS, Drain, Growth
from bench.subject import expect


@asynccontextmanager
async def at(server: Server, size: int, jobs: int) -> AsyncIterator[Drain]:
    """So many processes with one node each."""

    async def drain() -> float:
        async with server.fresh("growth", install) as url:
            return await drain_together(Side(ELIHU, server), url, size, jobs)

    yield drain


async def drain_together(side: Side, url: str, nodes: int, jobs: int) -> float:
    """Jobs a second, from the first start to the last. The queue is paused until all
    nodes run.
    """
    async with tables_of(url).app() as app, beside(url) as sql:
        note = note_task(app, float)
        await app.enqueue_many(note.build(0.0) for _ in range(jobs))
        await sql.tidy()
        await app.queues.pause("default")
        async with AsyncExitStack() as stack:
            tally = stack.enter_context(new_tally())
            workers = [
                await stack.enter_async_context(side.worker(url, slots=SLOTS, tally=tally.path))
                for _ in range(nodes)
            ]
            for worker in workers:
                worker.go()
            for worker in workers:
                await worker.expect("ready")
            expect("jobs started before the queue was resumed", 0, tally.started())
            await app.queues.resume("default")
            await all_started(tally, jobs, workers)
        expect("jobs done", jobs, await app.jobs.count(state="completed"))
        return jobs / tally.seconds()


NODES = Growth(
    name="nodes",
    axis="nodes, a process each",
    about="one queue of 100 slots in each node",
    sizes=(1, 2, 4, 8, 16),
    at=at,
    jobs=lambda _size: 150_000,
)
