"""The endpoint: the most frequent words in the source of a standard library module.

In this folder, after `pip install 'elihu[postgres]' fastapi uvicorn`, and with
ELIHU_DATABASE_URL set or left at its default:

    elihu migrate
    elihu start                     # in any number of other terminals
    uvicorn fanout.web:api
    curl 'http://127.0.0.1:8000/words/argparse?parts=8&within=2'

The web process runs no jobs. Without a node it answers after `within` seconds with no
part counted.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

from elihu import agather
from fanout.app import app, count, split

MOST = 20


class Words(BaseModel):
    """The words of the parts that were counted in time, most frequent first.

    ``missing`` maps the number of each other part to the reason.
    """

    file: str
    parts: int
    counted: int
    missing: dict[int, str]
    words: dict[str, int]


@asynccontextmanager
async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
    async with app:
        yield


api = FastAPI(title="fanout", lifespan=lifespan)


@api.get("/words/{module}")
async def words(
    module: str,
    parts: Annotated[int, Query(ge=1, le=64)] = 8,
    within: Annotated[float, Query(gt=0, le=30, description="seconds")] = 2.0,
) -> Words:
    """Split the source of the module, enqueue a job for each part, and return the
    results that arrive within the time limit.
    """
    path = source_of(module)
    text = await asyncio.to_thread(path.read_text, "utf-8")
    pieces = list(split(text, parts))
    total: Counter[str] = Counter()
    missing: dict[int, str] = {}
    for number, counted in enumerate(
        await agather([count.asubmit(piece) for piece in pieces], timeout=within)
    ):
        if isinstance(counted, Exception):
            missing[number] = str(counted)
        else:
            total.update(counted)
    return Words(
        file=str(path),
        parts=len(pieces),
        counted=len(pieces) - len(missing),
        missing=missing,
        words=dict(total.most_common(MOST)),
    )


def source_of(module: str) -> Path:
    """The source file of a standard library module. Raises a 404 if there is none."""
    spec = find_spec(module) if module in sys.stdlib_module_names else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise HTTPException(
            404,
            f"expected a standard library module written in Python, got {module!r}",
        )
    return Path(spec.origin)
