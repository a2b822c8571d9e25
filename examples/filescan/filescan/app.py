"""The app: a scan enqueues a job for each file of a folder, and a report waits for the
last of them.

A node scans the folder FILESCAN_FOLDER when it starts. Each folder is scanned once: a
later start finds the job of the first scan, unless FILESCAN_AGAIN is set. To scan any
folder at any time: `elihu enqueue filescan.scan --args '["/some/folder"]'`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from elihu import Context, Discard, Elihu, NewJob, Snooze, Unique
from filescan.examine import Examined, describe, examine
from filescan.paths import write_path
from filescan.report import write_report
from filescan.store import Store, open_store
from filescan.walk import walk

SMALL = 65_536
"""Files of at most this many bytes are read in the event loop, larger ones in a thread."""

logger = logging.getLogger("filescan")

UNFINISHED = ("suspended", "scheduled", "available", "executing", "retryable")


@dataclass(frozen=True, slots=True)
class State:
    """The value of ``ctx.state`` in tasks."""

    store: Store
    loop: asyncio.AbstractEventLoop


@asynccontextmanager
async def lifespan(_app: Elihu) -> AsyncIterator[State]:
    """Open the example's own tables on each node, and enqueue the first scan."""
    async with open_store(app.config.database_url) as store:
        if folder := wanted_folder():
            await enqueue_scan(folder)
        yield State(store, asyncio.get_running_loop())


app = Elihu(lifespan=lifespan)


@app.task(name="filescan.scan", max_attempts=3)
async def scan(folder: str, *, ctx: Context = Context()) -> None:
    """Enqueue a job for each file of the folder, and the report. The id of this job is
    the number of the scan.
    """
    number = ctx.job.id
    await ctx.state.store.begin(number, folder)
    done = await app.enqueue_many(file_jobs(number, folder, ctx))
    ctx.log.info("%d files found in %s", done.inserted, folder)
    await report.aenqueue(number)


async def file_jobs(number: int, folder: str, ctx: Context) -> AsyncIterator[NewJob]:
    """Yield a job for each file. A subfolder that cannot be listed is stored as a
    failure.
    """
    small, large = (task.using(tags=[tag(number)]) for task in (examine_small, examine_large))
    found = 0
    async for listing in walk(folder):
        if listing.error and listing.path == folder:
            raise Discard(f"expected a folder, got {folder!r}: {describe(listing.error)}")
        if listing.error:
            await ctx.state.store.save(
                number, Examined(write_path(listing.path), error=describe(listing.error))
            )
        for path, size in listing.files:
            yield (small if size <= SMALL else large).build(number, write_path(path))
        found += len(listing.files)
        ctx.progress(found, message="files found")


@app.task(name="filescan.examine_small", queue="small", max_attempts=3)
async def examine_small(scan: int, path: str, *, ctx: Context = Context()) -> None:
    """Examine a small file in the event loop."""
    await ctx.state.store.finish(scan, examine(path), ctx)


@app.task(name="filescan.examine_large", queue="large", max_attempts=3)
def examine_large(scan: int, path: str, *, ctx: Context = Context()) -> None:
    """Examine a large file in a thread."""
    asyncio.run_coroutine_threadsafe(
        ctx.state.store.finish(scan, examine(path), ctx), ctx.state.loop
    ).result()


@app.task(name="filescan.report", unique=Unique())
async def report(scan: int, *, ctx: Context = Context()) -> Snooze | None:
    """Print the totals once all jobs of the scan have finished; snooze until then."""
    total = await app.jobs.count(tags=tag(scan))
    left = await app.jobs.count(tags=tag(scan), state=UNFINISHED)
    ctx.progress(total - left, total, "files")
    if left:
        return Snooze(0.5)
    unfinished = await app.jobs.count(tags=tag(scan), state=("discarded", "cancelled"))
    print(write_report(scan, await ctx.state.store.totals(scan), unfinished), flush=True)
    return None


def tag(scan: int) -> str:
    """The tag of the jobs of a scan."""
    return f"scan-{scan}"


def wanted_folder() -> str | None:
    """The folder named by FILESCAN_FOLDER."""
    folder = os.environ.get("FILESCAN_FOLDER")
    return str(Path(folder).resolve()) if folder else None


async def enqueue_scan(folder: str) -> None:
    """Enqueue a scan of the folder, unless it was scanned before."""
    if os.environ.get("FILESCAN_AGAIN"):
        await scan.aenqueue(folder)
        return
    job = await scan.using(unique=Unique(states="all")).aenqueue(folder)
    if job.conflict:
        logger.info(
            "scan %d of %s is %s; set FILESCAN_AGAIN=1 to scan again",
            job.id,
            folder,
            job.state,
        )
