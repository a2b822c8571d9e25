"""Pages that a script asks for again after a change: one read serves all tabs that show the
same to the same user, and takes at most a twentieth of the time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from elihu.accounts.roles import Actor
from elihu.web.streams import SHARE

HEADER: Final = "x-live"
GATHER: Final = 0.05
"""Seconds for which a read waits for other tabs: a change wakes all of them at once."""
PACE: Final = 1.0
"""Seconds between the beginnings of two reads of a page at least."""

_Read = Callable[[], Awaitable[Response]]


@dataclass(slots=True)
class _Turn:
    """A read that begins at ``at``; the next one begins at ``until`` or later."""

    at: float
    until: float
    begun: bool = False
    answer: asyncio.Task[Response] = field(init=False)


class LivePages:
    """The turns of one application."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}
        self._reading: set[asyncio.Task[Response]] = set()

    async def answer(self, request: Request, actor: Actor, read: _Read) -> Response:
        """What a read answers that begins after this call."""
        key = _key(request, actor)
        moment = time.monotonic()
        turn = self._turns.get(key)
        if turn is None or turn.begun:
            at = moment + GATHER if turn is None else max(moment + GATHER, turn.until)
            self._turns = {
                other: each
                for other, each in self._turns.items()
                if not each.begun or moment <= each.until
            }
            turn = self._turns[key] = _Turn(at, at + PACE)
            turn.answer = asyncio.create_task(self._take(turn, read), name="elihu-live")
            self._reading.add(turn.answer)
            turn.answer.add_done_callback(self._reading.discard)
        return await asyncio.shield(turn.answer)

    async def aclose(self) -> None:
        """Give up reads that have not begun, and wait for the others."""
        for turn in self._turns.values():
            if not turn.begun:
                turn.answer.cancel()
        if self._reading:
            await asyncio.wait(self._reading)

    async def _take(self, turn: _Turn, read: _Read) -> Response:
        await asyncio.sleep(max(0.0, turn.at - time.monotonic()))
        turn.begun = True
        begun = time.monotonic()
        answer = await read()
        turn.until = turn.at + max(PACE, SHARE * (time.monotonic() - begun))
        return answer


def _key(request: Request, actor: Actor) -> Hashable:
    """All that a page is made of, but what the database holds."""
    scope, headers = request.scope, request.headers
    return (
        scope["scheme"], scope.get("root_path", ""), scope["path"], scope["query_string"],
        headers.get("host"), headers.get("cookie"), "hx-request" in headers,
        "hx-boosted" in headers, actor.name, actor.role, actor.via, actor.user_id,
    )  # fmt: skip
