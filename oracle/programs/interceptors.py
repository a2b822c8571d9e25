"""Faults inside a node, on any engine: what a network does to an exchange, done to the
call itself.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from elihu.engines.protocol import Ack, Engine, Exchange
from elihu.errors import DatabaseTimeout
from elihu.job import JobState
from elihu.runtime.node import Node

SHARE: Final = 0.2
LATE: Final = 0.5
"""Seconds after which a copy of a call arrives that went astray."""

_astray: set[asyncio.Task[None]] = set()


def lose_answers(engine: Engine, chance: random.Random) -> None:
    """Of some exchanges that did something the answer is lost after the commit."""
    exchange = engine.exchange

    async def losing(*args: Any, **kwargs: Any) -> Exchange:
        answer = await exchange(*args, **kwargs)
        if (answer.acked or answer.claims) and chance.random() < SHARE:
            raise DatabaseTimeout("the answer was lost on purpose")
        return answer

    engine.exchange = losing  # type: ignore[method-assign]


def deliver_twice(engine: Engine, chance: random.Random) -> None:
    """Acknowledgements after which a job runs again arrive once more when it does: a
    copy that was on its way all the while.
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
            _astray.add(task)
            task.add_done_callback(_astray.discard)
        return answer

    engine.exchange = doubling  # type: ignore[method-assign]


WRAPS: Final[dict[str, Callable[[Engine, random.Random], None]]] = {
    "lose answers": lose_answers,
    "deliver twice": deliver_twice,
}


def apply(name: str | None, seed: int) -> None:
    """Put the fault of this name into the engine that the node makes for itself; None
    puts in none.
    """
    if not name:
        return
    wrap = WRAPS[name]
    make = Node.__init__

    def wrapped(self: Node, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        wrap(self.engine, random.Random(seed))

    Node.__init__ = wrapped  # type: ignore[method-assign]
