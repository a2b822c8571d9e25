"""An app under a name of a module: its children import it, and enter its lifespan."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from elihu import Context, Elihu


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
