"""The app: a scan walks the folder and enqueues a job for each file; a report waits for
the last of them.

FILESCAN_FOLDER names the folder that a starting node scans, once: another node, or a
later start, finds the job of that scan and leaves it at that, unless FILESCAN_AGAIN is
set. Any folder, at any time: `elihu enqueue filescan.scan --args '["/some/folder"]'`.
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
"""Bytes: a file up to this size is read in the event loop, which it does not hold up
for long; a larger one in a thread.
"""

logger = logging.getLogger("filescan")

UNFINISHED = ("suspended", "scheduled", "available", "executing", "retryable")


@dataclass(frozen=True, slots=True)
class State:
    """What tasks find in ``ctx.state``."""

    store: Store
    loop: asyncio.AbstractEventLoop


@asynccontextmanager
async def lifespan(_app: Elihu) -> AsyncIterator[State]:
    """Open the example's own tables on each node, and see to the first scan."""
    async with open_store(app.config.database_url) as store:
        if folder := wanted_folder():
            await see_to_scan(folder)
        yield State(store, asyncio.get_running_loop())


app = Elihu(lifespan=lifespan)


@app.task(name="filescan.scan", max_attempts=3)
async def scan(folder: str, *, ctx: Context = Context()) -> None:
    """Enqueue one job for each file of the folder, and the report. The job's id is the
    number of the scan.
    """
    number = ctx.job.id
    await ctx.state.store.begin(number, folder)
    done = await app.enqueue_many(file_jobs(number, folder, ctx))
    ctx.log.info("%d files found in %s", done.inserted, folder)
    await report.aenqueue(number)


async def file_jobs(number: int, folder: str, ctx: Context) -> AsyncIterator[NewJob]:
    """A job for each file, as the walk finds it; a folder in it that cannot be listed
    is written down as a failure.
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
    """Print the totals when no job of the scan is unfinished; until then come back
    later.
    """
    total = await app.jobs.count(tags=tag(scan))
    left = await app.jobs.count(tags=tag(scan), state=UNFINISHED)
    ctx.progress(total - left, total, "files")
    if left:
        return Snooze(0.5)
    unfinished = await app.jobs.count(tags=tag(scan), state=("discarded", "cancelled"))
    print(write_report(scan, await ctx.state.store.totals(scan), unfinished), flush=True)
    return None


def tag(scan: int) -> str:
    """The tag of a scan's files."""
    return f"scan-{scan}"


def wanted_folder() -> str | None:
    """The folder that FILESCAN_FOLDER names."""
    folder = os.environ.get("FILESCAN_FOLDER")
    return str(Path(folder).resolve()) if folder else None


async def see_to_scan(folder: str) -> None:
    """Scan the folder, unless that has been asked for before."""
    if os.environ.get("FILESCAN_AGAIN"):
        await scan.aenqueue(folder)
        return
    job = await scan.using(unique=Unique(states="all")).aenqueue(folder)
    if job.conflict:
        logger.info(
            "scan %d of %s is %s; with FILESCAN_AGAIN=1 a start scans again",
            job.id,
            folder,
            job.state,
        )
