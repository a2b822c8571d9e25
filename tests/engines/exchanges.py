"""A job that a new node has claimed."""

from typing import Any

from elihu.engines.protocol import ClaimedJob, Engine
from tests.engines.builders import (
    fetch,
    node,
    put,
)
from tests.engines.raw import Raw


async def claimed(engine: Engine, raw: Raw | None = None, **columns: Any) -> tuple[str, ClaimedJob]:
    """A node, and a job it executes; ``columns`` were changed before the fetch."""
    here = await node(engine)
    (id_,) = await put(engine)
    if raw is not None and columns:
        await raw.put(id_, **columns)
    (claim,) = await fetch(engine, here)
    return here, claim
