"""An app under a name of a module: its children import it, and enter its lifespan."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from elihu import Context, Elihu, RelayTimeout

WAITS = 4
WAIT = 3.0
"""Seconds: a node needs two looks at a blocked queue, which are a second apart."""


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
def waits(text: str) -> str:
    """What the error of a wait says that ended without an answer, once it holds ``text``."""
    relay = follows.submit(7)
    for _ in range(WAITS):
        try:
            relay.result(timeout=WAIT)
        except RelayTimeout as error:
            if text in (said := str(error)):
                return said
    return "nothing"


@app.task(name="app.awaits", run_in="process", record=True)
async def awaits(text: str) -> str:
    relay = await follows.asubmit(7)
    for _ in range(WAITS):
        try:
            await relay.aresult(timeout=WAIT)
        except RelayTimeout as error:
            if text in (said := str(error)):
                return said
    return "nothing"
