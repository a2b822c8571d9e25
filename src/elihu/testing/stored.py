"""Reads the unfinished jobs, by an app or through a caller's connection."""

from typing import Final

from elihu.app import Elihu
from elihu.engines.in_transaction import Session
from elihu.job import INCOMPLETE, Job

PAGE: Final = 1_000


async def unfinished(app: Elihu) -> list[Job]:
    """The unfinished jobs, oldest first."""
    found: list[Job] = []
    after: int | None = None
    while True:
        page = await app.jobs.list(after=after, limit=PAGE, state=sorted(INCOMPLETE))
        found += page.items
        if page.next is None:
            return found[::-1]
        after = page.next


def unfinished_in(session: Session) -> list[Job]:
    """The unfinished jobs that a synchronous connection sees, oldest first."""
    found: list[Job] = []
    while piece := session.unfinished(found[-1].id if found else 0):
        found += piece
    return found


async def aunfinished_in(session: Session) -> list[Job]:
    """``unfinished_in`` for an asynchronous connection."""
    found: list[Job] = []
    while piece := await session.aunfinished(found[-1].id if found else 0):
        found += piece
    return found
