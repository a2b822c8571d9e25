"""Makes relays, and waits for their jobs."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from elihu.attempt_waits import waiting_for
from elihu.clients.client import Client
from elihu.engines.protocol.waits import JobEnd
from elihu.errors import RelayTimeout
from elihu.job import Job
from elihu.options import check_range
from elihu.relay import Answer, Relay, Watched
from elihu.results.answers import answer_of
from elihu.task import Registry

T = TypeVar("T")


class Relays:
    """The relays of one app."""

    def __init__(
        self,
        client: Callable[[], Client],
        registry: Registry,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        self._client = client
        self._registry = registry
        self._run = run

    def submitted(self, job: Job) -> Relay[Any]:
        """A relay for a job that was just stored as awaited. The first wait marks a job
        that existed before.
        """
        return Relay(self, Watched(job.id, job, None if job.conflict else 0))

    def attach(self, job_id: int) -> Relay[Any]:
        """A relay for a stored job. Raises ``InvalidOption`` for anything but an id."""
        return Relay(self, Watched(check_range("id", job_id, 1, 2**63 - 1)))

    async def answers(
        self, watched: Sequence[Watched], timeout: float | None, *, wait_retries: bool
    ) -> list[Answer]:
        """The answer for each, in order, after at most ``timeout`` seconds."""
        client = self._client()
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        deadline = asyncio.timeout_at(until)
        try:
            async with deadline:
                await client.ready()
        except TimeoutError:
            if not deadline.expired():
                raise
            ends: Sequence[JobEnd | Exception | None] = [None] * len(watched)
            hint = None
        else:
            left = None if until is None else until - loop.time()
            with waiting_for(each.id for each in watched) as waits:
                ends = await client.waiters.ends(watched, left, only_job=wait_retries)
                hint = waits.hint() if waits else None
        return [
            self._answer(each, end, timeout, hint) for each, end in zip(watched, ends, strict=True)
        ]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end from synchronous code."""
        result: T = self._run(coroutine)
        return result

    def _answer(
        self,
        watched: Watched,
        end: JobEnd | Exception | None,
        timeout: float | None,
        hint: str | None,
    ) -> Answer:
        match end:
            case None:
                return Answer(error=RelayTimeout(watched.id, timeout or 0.0, hint))
            case Exception():
                return Answer(error=end)
        return answer_of(self._registry, watched.id, watched.job, end)
