"""What the tests of a caller's transaction share."""

import itertools

from elihu import (
    Elihu,
    Unique,
)
from tests.features.caller import Caller

numbers = itertools.count(1)


class CallerHarness:
    """An app, a queue of the test's own, and a caller."""

    def __init__(self, app: Elihu, caller: Caller) -> None:
        self.app = app
        self.caller = caller
        self.queue = f"queue-{next(numbers)}"

        @app.task(name="add", queue=self.queue)
        async def add(number: int, text: str = "å $1 ? %s :x \\ \U0001f600") -> None: ...

        @app.task(name="one", queue=self.queue, unique=Unique(by=("task", "args", "queue")))
        async def one(number: int) -> None: ...

        self.add = add
        self.one = one

    async def stored(self) -> int:
        return await self.app.jobs.count(queue=self.queue)


def empty_task() -> None: ...
