"""An app under a name of a module: its children import it, and enter its lifespan."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from elihu import Context, Elihu, RelayTimeout


@asynccontextmanager
async def lifespan(app: Elihu) -> AsyncIterator[int]:
    yield os.getpid()


app = Elihu("sqlite:////nowhere/elihu.db", lifespan=lifespan)


@app.task(name="app.follows")
async def follows(number: int) -> None: ...


@app.task(name="app.looks", run_in="process", record=True)
def looks(*, ctx: Context = Context()) -> tuple[bool, int]:
    """Whether the state is that of this process, and the job that was stored from here,
    in the node's database.
    """
    return ctx.state == os.getpid(), follows.enqueue(7).id


@app.task(name="app.waits", run_in="process", record=True)
def waits(seconds: float) -> str:
    """What the error of a wait says that ended without an answer."""
    try:
        follows.submit(7).result(timeout=seconds)
    except RelayTimeout as error:
        return str(error)
    return "answered"


@app.task(name="app.awaits", run_in="process", record=True)
async def awaits(seconds: float) -> str:
    try:
        await (await follows.asubmit(7)).aresult(timeout=seconds)
    except RelayTimeout as error:
        return str(error)
    return "answered"
