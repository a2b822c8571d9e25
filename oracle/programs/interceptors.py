"""What is changed inside a node, on any engine: exchanges that behave as on a bad
network, and a front that is always read.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from elihu.engines.protocol import Ack, Engine, Exchange
from elihu.errors import DatabaseTimeout
from elihu.job import JobState
from elihu.runtime.node import Node
from elihu.runtime.queue.front import Front

SHARE: Final = 0.2
LATE: Final = 0.5
"""Seconds after which the delayed copy of a call arrives."""

_delayed: set[asyncio.Task[None]] = set()


def lose_answers(engine: Engine, rng: random.Random) -> None:
    """Lose the answers of some exchanges that acknowledged or claimed something, after
    the commit.
    """
    exchange = engine.exchange

    async def losing(*args: Any, **kwargs: Any) -> Exchange:
        answer = await exchange(*args, **kwargs)
        if (answer.acked or answer.claims) and rng.random() < SHARE:
            raise DatabaseTimeout("the answer was lost on purpose")
        return answer

    engine.exchange = losing  # type: ignore[method-assign]


def deliver_twice(engine: Engine, rng: random.Random) -> None:
    """Deliver each acknowledgement that makes a job retryable a second time, while the
    next attempt runs.
    """
    exchange = engine.exchange

    async def again(node: str, queue: str, acks: list[Ack]) -> None:
        await asyncio.sleep(LATE)
        await exchange(node, queue, 0, acks)

    async def doubling(
        node: str, queue: str, free: int, acks: Sequence[Ack], **kwargs: Any
    ) -> Exchange:
        answer = await exchange(node, queue, free, acks, **kwargs)
        if copies := [ack for ack in acks if ack.state is JobState.RETRYABLE]:
            task = asyncio.get_running_loop().create_task(again(node, queue, copies))
            _delayed.add(task)
            task.add_done_callback(_delayed.discard)
        return answer

    engine.exchange = doubling  # type: ignore[method-assign]


def read_the_front(engine: Engine, rng: random.Random) -> None:
    """Begin each fetch at the front: a slow front is read once more a second later, which
    is a poll.
    """

    def begin(self: Front, now: float, *, acks: bool) -> None:
        return None

    Front.begin = begin  # type: ignore[method-assign]


INTERCEPTORS: Final[dict[str, Callable[[Engine, random.Random], None]]] = {
    "lose answers": lose_answers,
    "deliver twice": deliver_twice,
    "read the front": read_the_front,
}


def apply(name: str | None, seed: int) -> None:
    """Intercept the engine that the node makes for itself; None intercepts nothing."""
    if not name:
        return
    intercept = INTERCEPTORS[name]
    init = Node.__init__

    def intercepted(self: Node, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        intercept(self.engine, random.Random(seed))

    Node.__init__ = intercepted  # type: ignore[method-assign]
